/** One answer for each rule of quality that it breaks, as Storm gives it. */
import type { StormFault } from '../../src/storm/index.ts';
import type { WorldOptions } from './world.ts';

export type Quality = NonNullable<NonNullable<NonNullable<WorldOptions['config']>['policy']>['quality']>;

export const poorAt = (kind: StormFault['kind']): { faults: StormFault[] } => ({ faults: [{ kind }] });

interface Case {
  readonly name: string;
  readonly kind: StormFault['kind'];
  readonly quality: Quality;
  readonly mark: string;
  readonly body?: Record<string, unknown>;
}

const schema = {
  type: 'json_schema',
  json_schema: { name: 'x', schema: { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'] } },
};

export const CASES: readonly Case[] = [
  { name: 'truncated', kind: 'truncated', quality: { rejectTruncated: true }, mark: 'truncated', body: { max_tokens: 200 } },
  {
    name: 'JSON that the length limit cut off, by default',
    kind: 'truncated',
    quality: {},
    mark: 'schema',
    body: { response_format: { type: 'json_object' }, max_tokens: 200 },
  },
  { name: 'a refusal in its own field', kind: 'refusal', quality: { rejectRefusal: true }, mark: 'refused' },
  { name: 'nothing but thoughts, by default', kind: 'reasoning-only', quality: {}, mark: 'empty', body: { max_tokens: 200 } },
  { name: 'withheld by a filter', kind: 'content-filter', quality: { rejectRefusal: true }, mark: 'refused' },
  { name: 'degenerate repetition, by default', kind: 'repetition', quality: {}, mark: 'repetition', body: { max_tokens: 200 } },
  { name: 'too short', kind: 'prose', quality: { minLength: 60 }, mark: 'short', body: { max_tokens: 200 } },
  {
    name: 'lacking a pattern',
    kind: 'prose',
    quality: { mustMatch: ['storm|wind|boat|wall|light|harbour|sea|ships|calm'] },
    mark: 'mismatch',
    body: { max_tokens: 200 },
  },
  { name: 'holding a pattern', kind: 'prose', quality: { mustNotMatch: ['^Here is what you asked for'] }, mark: 'mismatch' },
  {
    name: 'no JSON where a schema asks for it, by default',
    kind: 'prose',
    quality: {},
    mark: 'schema',
    body: { response_format: schema, max_tokens: 200 },
  },
  {
    name: 'no JSON where an object is asked for, by default',
    kind: 'prose',
    quality: {},
    mark: 'schema',
    body: { response_format: { type: 'json_object' }, max_tokens: 200 },
  },
];
