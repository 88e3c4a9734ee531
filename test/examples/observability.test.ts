/** The example `examples/observability`: its rules and board ask for metrics that exist, and its rules fire when they should. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { ERROR_CATALOGUE } from '../../src/core/errors.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';

const folder = join(import.meta.dirname, '../../examples/observability');
const skip = spawnSync('promtool', ['--version']).error !== undefined && 'promtool is not installed: apt-get install prometheus';

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: { readonly severity?: string };
  readonly annotations?: { readonly summary?: string; readonly runbook?: string };
}

interface Board {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

const { groups } = parse(readFileSync(join(folder, 'rules.yml'), 'utf8')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const board = JSON.parse(readFileSync(join(folder, 'grafana/board.json'), 'utf8')) as Board;
const boardQueries = [...board.panels.flatMap(({ targets }) => targets), ...board.annotations.list].map(({ expr }) =>
  expr.replaceAll('$__rate_interval', '1m'),
);

function promtool(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

test('rules and board ask for metrics that the gateway has', async () => {
  const metrics = createMetrics({ clock: createManualClock(), dropped: { logLines: () => 0, requestRecords: () => 0 } });
  const exposed = new Set(Array.from((await metrics.scrape()).matchAll(/^# TYPE (\S+)/gm), (match) => match[1]!));
  const own = new Set(rules.flatMap(({ record }) => (record === undefined ? [] : [record])));
  const documented = readFileSync(join(folder, '../../docs/metrics.md'), 'utf8');
  for (const query of [...rules.map(({ expr }) => expr), ...boardQueries]) {
    for (const [name] of query.matchAll(/\b(?:breakwater|nodejs|process)[\w:]+/g)) {
      const family = name.replace(/_bucket$/, '');
      assert.ok(exposed.has(family) || own.has(name), `${name} in ${query}`);
      if (name.startsWith('breakwater_')) assert.ok(documented.includes(family), `${family} is not in docs/metrics.md`);
    }
  }
});

test('every alert says how urgent it is and what to do', () => {
  for (const { alert = '', record, labels, annotations } of rules) {
    if (record !== undefined) continue;
    assert.match(alert, /^Breakwater[A-Z]/);
    assert.match(labels?.severity ?? '', /^(?:page|ticket)$/, alert);
    assert.ok((annotations?.summary ?? '').length > 10 && (annotations?.runbook ?? '').length > 40, alert);
  }
});

test("the alerts leave out all errors that are the caller's fault, and no others", () => {
  const found = rules.flatMap(({ expr }) => Array.from(expr.matchAll(/code!~"([^"]+)"/g), ([, codes]) => codes!.split('|')));
  const faults = Object.entries(ERROR_CATALOGUE).filter(([, { status }]) => status < 500 && status !== 429);
  assert.deepEqual(found, [faults.map(([code]) => code)]);
});

test('the rules are valid, and fire when they should', { skip }, () => {
  promtool('check', 'rules', 'rules.yml');
  promtool('check', 'config', 'prometheus.yml');
  promtool('test', 'rules', 'rules.test.yml');
});

test('the compose file mounts files that are here, and opens no port to other machines', () => {
  const { services } = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8')) as {
    services: Record<string, { volumes: string[]; ports?: string[] }>;
  };
  for (const { volumes, ports } of Object.values(services)) {
    assert.equal(ports, undefined);
    const own = volumes.map((volume) => volume.split(':', 1)[0]!).filter((source) => source.startsWith('.'));
    for (const source of own) assert.ok(existsSync(join(folder, source)), source);
  }
});

test("the board's queries are valid", { skip }, () => {
  const file = join(mkdtempSync(join(tmpdir(), 'breakwater-board-')), 'board.yml');
  const records = boardQueries.map((expr, index) => ({ record: `board:query:${index}`, expr }));
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'board', rules: records }] }));
  promtool('check', 'rules', file);
});
