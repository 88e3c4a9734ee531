/**
 * npm run bench: what the design promises about speed and size, measured side by side in one run.
 *
 * Each contender has one core to itself, load and upstream share the other; only the contender being measured is
 * awake, and the rounds of all contenders alternate. What is ours alone (the queue, and goodput under overload) has a process
 * of its own. `--quick` takes about a minute and a half, `--only plain-1k,stream` runs some cases. Tables go to stdout, the numbers to bench/results/. Exit code 1: a budget was missed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { aloneCases, measureAlone, type AloneCase, type Rows } from './alone.ts';
import { cases, type Case, type Results } from './cases.ts';
import { sendLoad } from './load.ts';
import { measureCase, type Plan } from './measure.ts';
import { canPin, cores, start } from './processes.ts';
import { casesTable, judge, rowsTable, verdictsTable, type Verdict } from './report.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } });
const chosen = choose(options.only);

if (chosen.some(({ kind }) => kind !== 'alone') && spawnSync('wrk', ['--version']).error) {
  process.stderr.write('bench: the load comes from wrk, which is not installed (Debian: apt-get install wrk)\n');
  process.exit(2);
}
if (canPin) spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(cores.load), String(process.pid)]);
else say('bench: processes cannot be kept to a core here; the numbers compare less well');

const folder = mkdtempSync(join(tmpdir(), 'breakwater-bench-'));
const upstream = await start({ command: [process.execPath, join(here, 'upstream.ts')], core: cores.load });
const plan: Plan = {
  ...(options.quick ? { rounds: 2, seconds: 1, warmUpSeconds: 2 } : { rounds: 5, seconds: 3, warmUpSeconds: 6 }),
  folder,
  upstream: upstream.url,
  say,
};
const report: { case: string; title: string; results: Results | Rows; direct?: number }[] = [];
const verdicts: Verdict[] = [];
try {
  for (const one of chosen) {
    if (one.kind === 'alone') {
      await runAlone(one);
      continue;
    }
    const direct = await loadAlone(one);
    const results = await measureCase(one, plan);
    say(`${casesTable(one, results)}`);
    say(direct === undefined ? '' : `load and upstream alone: ${direct.toFixed(0)} per second\n`);
    report.push({ case: one.name, title: one.title, results, ...(direct === undefined ? {} : { direct }) });
    verdicts.push(...judge(one, results));
  }
} finally {
  await upstream.stop();
  rmSync(folder, { recursive: true, force: true });
}
say(verdictsTable(verdicts));
save();
process.exitCode = verdicts.some(({ isMet }) => isMet === false) ? 1 : 0;

function choose(only: string | undefined): readonly (Case | AloneCase)[] {
  const all = [...cases, ...aloneCases];
  const names = only?.split(',') ?? all.map(({ name }) => name);
  const unknown = names.filter((name) => !all.some((one) => one.name === name));
  if (unknown.length === 0) return all.filter(({ name }) => names.includes(name));
  process.stderr.write(`bench: there is no case ${unknown.join(', ')}; there are ${all.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

async function runAlone(one: AloneCase): Promise<void> {
  const results = await measureAlone(one, options.quick);
  say(`${rowsTable(one, results)}\n`);
  report.push({ case: one.name, title: one.title, results });
  verdicts.push(...judge(one, results));
}

/** What the load's core could do if a contender cost nothing: it has to be well above every contender. */
async function loadAlone(one: Case): Promise<number | undefined> {
  if (one.kind !== 'load') return undefined;
  const { perSecond } = await sendLoad(folder, { url: upstream.url, body: one.body, connections: one.connections, seconds: 1 });
  return perSecond;
}

function save(): void {
  const results = join(here, 'results');
  mkdirSync(results, { recursive: true });
  const at = new Date().toISOString();
  const machine = { processor: cpus()[0]?.model, cores: cpus().length, node: process.version, isPinned: canPin };
  const file = join(results, `${at.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ at, machine, isQuick: options.quick, report, verdicts }, undefined, 2)}\n`);
  say(`\nwritten to ${file}`);
}
