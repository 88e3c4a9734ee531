/** docs/http.md has every path, header and error code of the server, and the shape of the admin API's responses. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CATALOGUE, type ErrorCode } from '../src/core/errors.ts';
import { REQUEST_OUTCOMES } from '../src/core/events.ts';
import { REASONS } from '../src/core/outcome.ts';
import { FAILED_QUALITY_CHECKS } from '../src/core/quality.ts';
import { createBreakwater } from '../src/index.ts';
import { routes } from '../src/server/routes.ts';
import { startStorm } from '../src/storm/index.ts';
import { listFiles, readSource } from './tidy/scan.ts';

const page = readFileSync(new URL('../docs/http.md', import.meta.url), 'utf8');

/** The cells of every table row below a heading, up to the next heading of the same level. */
function rowsUnder(heading: string): string[][] {
  const level = heading.split(' ')[0]!;
  const start = page.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, heading);
  const rest = page.slice(start + heading.length + 1);
  const end = rest.search(new RegExp(`\\n#{1,${level.length}} `));
  const lines = rest.slice(0, end < 0 ? undefined : end).split('\n');
  return lines.filter((line) => line.startsWith('| `')).map((line) => line.slice(2, -2).split(' | '));
}

test('every path of the server has its row, with its access', () => {
  const described = rowsUnder('## Paths').map(([path = '', access = '']) => `${path.replaceAll('`', '')} ${access}`);
  const served = routes.map(({ method, path, access }) => `${method} ${path} ${access}`);
  assert.deepEqual(described.toSorted(), served.toSorted());
});

test('every error code has its row, with its status and whether a provider was called', () => {
  const described = rowsUnder('## Errors').map(([code = '', status, refused]) => `${code} ${status} ${refused}`);
  const known = (Object.keys(ERROR_CATALOGUE) as ErrorCode[]).map((code) => {
    const { status, refused } = ERROR_CATALOGUE[code];
    return `\`${code}\` ${status} ${refused ? 'yes' : 'no'}`;
  });
  assert.deepEqual(described.toSorted(), known.toSorted());
});

test('every x-breakwater header of the code has its row, and no other has one', () => {
  const described = [...rowsUnder('## Request headers'), ...rowsUnder('## Response headers')].flatMap(([names = '']) =>
    [...names.matchAll(/`(x-breakwater-[\w-]+)`/g)].map(([, name]) => name!),
  );
  const used = listFiles(['src/server', 'src/pipeline'], /(?<!\.test|\.fixture)\.ts$/)
    .map(readSource)
    .flatMap(({ text }) => [...text.matchAll(/'(x-breakwater-[a-z-]*[a-z])'/g)].map(([, name]) => name!));
  const own = ['priority', 'deadline-ms', 'fallback', 'cache'].map((name) => `x-breakwater-${name}`);
  assert.deepEqual([...new Set(described)].toSorted(), [...new Set([...used, ...own])].toSorted());
});

test('every reason for a fallback has its row', () => {
  assert.deepEqual(
    rowsUnder('### Reasons')
      .map(([reason = '']) => reason.replaceAll('`', ''))
      .toSorted(),
    [...REASONS].toSorted(),
  );
});

test('the names of outcomes and quality checks are those of the code', () => {
  for (const outcome of [...REQUEST_OUTCOMES, 'running']) assert.ok(page.includes(`\`${outcome}\``), outcome);
  for (const failedCheck of FAILED_QUALITY_CHECKS) assert.ok(page.includes(`\`${failedCheck}\``), failedCheck);
});

/** The paths of all fields, down to the first entry of each list. */
function shapeOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [] : shapeOf(value[0], `${path}[]`);
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, child]) => [`${path}.${key}`, ...shapeOf(child, `${path}.${key}`)]);
}

test('the responses of the admin API have the fields of its examples, and those alone', async () => {
  const shapes = [...page.matchAll(/<!-- shape: (\S+) -->\n```json\n([^]*?)```/g)];
  assert.equal(shapes.length, 4);
  const storm = await startStorm();
  const breakwater = await createBreakwater({ providers: { storm: { baseUrl: storm.url, apiKey: 'storm' } } });
  try {
    const body = JSON.stringify({ model: 'storm/any', messages: [{ role: 'user', content: 'Hello' }] });
    const response = await breakwater.fetch('http://breakwater/v1/chat/completions', { method: 'POST', body });
    assert.equal(response.status, 200);
    await response.text();
    for (const [, path, example] of shapes) {
      const shown: unknown = await (await breakwater.fetch(`http://breakwater${path!}`)).json();
      assert.deepEqual(shapeOf(shown).toSorted(), shapeOf(JSON.parse(example!)).toSorted(), path!);
    }
  } finally {
    await breakwater.close();
    await storm.close();
  }
});
