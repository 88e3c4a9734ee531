import assert from 'node:assert/strict';
import { it } from 'node:test';
import { betasFor } from './betas.ts';

const none = (): boolean => false;

it('a beta token is dropped once all its members are dropped', () => {
  const value = 'claude-code-20250219, context-management-2025-06-27,compact-2026-09-04';
  assert.equal(betasFor(value, ['metadata'], none), value);
  assert.equal(betasFor(value, ['context_management'], none), 'claude-code-20250219');
  assert.equal(
    betasFor(value, ['context_management'], (name) => name === 'compaction'),
    'claude-code-20250219,compact-2026-09-04',
  );
  assert.equal(betasFor('effort-2025-11-24', ['output_config'], none), '');
});
