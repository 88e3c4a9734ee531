/** docs/failures.md describes the verdict table and the error catalogue row by row, in the same words. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CATALOGUE } from '../src/core/errors.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import { FAILURE_KINDS } from '../src/core/facts.ts';
import type { FailureKind } from '../src/core/facts.ts';
import { QUARANTINE_MAX_MS } from '../src/policy/cooldown/quarantine.ts';
import { KIND_RULES, OTHER_STATUS, PERMANENT_CONNECT, STALE_CONNECTION, STATUS_RULES } from '../src/policy/verdict.ts';
import type { Judgement, Rule } from '../src/policy/verdict.ts';

type Row = Pick<Rule, 'when' | 'judgement'>;

const doc = readFileSync(new URL('../docs/failures.md', import.meta.url), 'utf8');

const cells = (...texts: string[]): string => `| ${texts.join(' | ')} |`;

function whatIsNext(judgement: Judgement): string {
  const { verdict, requestAtFault, reason, blame } = judgement;
  if (judgement === STALE_CONNECTION.judgement) return 'another target; else the same one at once';
  if (verdict === 'reject') return 'none';
  if (reason === 'unsupported') return 'the same target without the field, once; else another model or provider';
  if (reason === 'refused') return 'one target of another model or provider, for a second opinion';
  if (blame !== null && blame !== 'account') return 'one other key, of another provider if possible';
  if (verdict === 'switch')
    return requestAtFault || reason === 'quality'
      ? 'another model or provider; not this one again'
      : 'another key or target; not this one again';
  if (reason === 'empty') return 'another target; else the same one, once';
  return 'another target; else the same one after a pause';
}

function whatItDoes(judgement: Judgement, hasWords: boolean): string {
  const { effect, health, quarantineMs, longerPause, reason, verdict } = judgement;
  if (judgement === STALE_CONNECTION.judgement) return 'nothing, not even its retry budget';
  if (effect === 'suspect') return `its key is suspected; an independent refusal quarantines it for ${quarantineMs / 60_000} min`;
  if (effect === 'quarantine')
    return `its key is quarantined for ${quarantineMs / 60_000} min${quarantineMs < QUARANTINE_MAX_MS ? ', longer each time' : ''}`;
  if (effect === 'cooldown') {
    const what = reason === 'rate_limited' ? 'its key' : 'the target';
    return `${what} pauses for the requested time, else for the default backoff${longerPause ? ', fourfold' : ''}`;
  }
  const mark = health === 'failure' ? 'breaker mark' : 'nothing';
  return verdict === 'retry' && hasWords ? `${mark}; a requested wait applies` : mark;
}

/** What the caller gets if no other target responds. */
function whatTheCallerGets({ verdict, reason, requestAtFault }: Judgement, hasWords: boolean): string {
  if (verdict === 'reject') return "the provider's own error";
  if (reason === 'refused') return "the provider's own error: the first of this kind";
  if (reason === 'auth') return '502 `upstream_auth_failed`';
  if (reason === 'quality') return 'the best response, marked with the failed check (`x-breakwater-quality`)';
  if (reason === 'empty') return 'the response, marked `x-breakwater-quality: empty`; 502 `all_targets_failed` if there was none';
  if (reason === 'internal') return '503 `internal_error`';
  if (!hasWords) return '502 `all_targets_failed`';
  return requestAtFault
    ? "the provider's own error if every target refuses; else `all_targets_failed`"
    : "the provider's own error if no other target was called; else `all_targets_failed`";
}

function line({ when, judgement }: Row, hasWords: boolean): string {
  const { verdict, reason } = judgement;
  return cells(
    when,
    `\`${verdict}\``,
    `\`${reason}\``,
    whatIsNext(judgement),
    whatItDoes(judgement, hasWords),
    whatTheCallerGets(judgement, hasWords),
  );
}

/** With the name of the failure in the timeline. */
function named(kind: FailureKind, row: Row): Row {
  return { ...row, when: `\`${kind}\`: ${row.when}` };
}

/** The rows of the table under a heading, without its header. */
function tableUnder(heading: string): string[] {
  const start = doc.indexOf(`\n## ${heading}\n`);
  assert.ok(start >= 0, heading);
  const section = doc.slice(start + 4).split('\n## ')[0]!;
  return section
    .split('\n')
    .filter((text) => text.startsWith('|'))
    .slice(2);
}

const table = (lines: readonly string[]): string => `\n${lines.join('\n')}\n`;

test('every rule for an error status has its row, in the order in which they apply', () => {
  const expected = [...STATUS_RULES.map((rule) => line(rule, true)), line(OTHER_STATUS, true)];
  assert.equal(table(tableUnder('Before the first content: the provider answers with an error')), table(expected));
});

test('every failure without an error status has its row', () => {
  const rows: Row[] = [];
  for (const kind of FAILURE_KINDS) {
    if (kind === 'status' || kind === 'error') continue;
    rows.push(named(kind, KIND_RULES[kind]));
    if (kind === 'connect') rows.push(named(kind, PERMANENT_CONNECT));
    if (kind === 'reset') rows.push(named(kind, STALE_CONNECTION));
  }
  assert.equal(
    table(tableUnder('Before the first content: the connection or the answer breaks')),
    table(rows.map((row) => line(row, false))),
  );
});

test('every failure of a started stream has its row', () => {
  const ends = {
    error: 'stream_interrupted',
    cut: 'stream_interrupted',
    malformed: 'stream_interrupted',
    timeout: 'stream_stalled',
  } as const;
  const reasons = { error: 'as its words say', cut: '`interrupted`', malformed: '`malformed`', timeout: '`stalled`' } as const;
  const lines = tableUnder('After the first content');
  for (const kind of ['error', 'cut', 'malformed', 'timeout'] as const) {
    const found = lines.find((text) => text.startsWith(`| \`${kind}\`: `)) ?? '';
    assert.ok(found.includes(`\`${ends[kind]}\``), kind);
    assert.ok(found.includes(reasons[kind]), kind);
    const marks = kind === 'error' || KIND_RULES[kind].judgement.health === 'failure';
    assert.equal(found.includes('breaker mark'), marks, kind);
  }
});

test('every error of the gateway is explained, with its status', () => {
  const lines = tableUnder("Breakwater's own errors");
  const expected = (Object.keys(ERROR_CATALOGUE) as ErrorCode[]).map((code) => `| \`${code}\` | ${ERROR_CATALOGUE[code].status} |`);
  assert.deepEqual(lines.map((text) => text.split(' |').slice(0, 2).join(' |') + ' |').toSorted(), expected.toSorted());
});
