/**
 * npm run bench: what the design promises about speed and size, measured side by side in one run.
 *
 * Each contender has one core to itself, load and upstream share the other; only the contender being measured is
 * awake, and the rounds of all contenders alternate. CPU time for a request, from the kernel's accounts, compares better than
 * throughput on a busy machine; its ratio to the relay is taken round by round. What is ours alone (the queue, and goodput under
 * overload) has a process of its own.
 *
 * - `--quick`: about two minutes
 * - `--only plain-1k,stream`, `--rounds 7`: some cases, more rounds
 * - `--against DIR`: measures another checkout beside this one
 * - `--short`: for CI, a minute: fails where CPU time, relative to the relay, grew by more than a quarter over `landed.json`, in two
 *   measurements and on a machine that is not busy with something else
 * - `--land`: writes the measured figures to `landed.json`
 *
 * Tables go to stdout, the numbers to bench/results/. Exit code 1: a budget was missed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { aloneCases, measureAlone, type AloneCase, type Rows } from './alone.ts';
import { cases, cpuRatio, type Case, type Results } from './cases.ts';
import landed from './landed.json' with { type: 'json' };
import { sendLoad } from './load.ts';
import { measureCase, type Plan } from './measure.ts';
import { options } from './options.ts';
import { canPin, cores, start } from './processes.ts';
import { casesTable, judge, noiseOf, noiseText, rowsTable, verdictsTable, type Verdict } from './report.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const chosen = choose(options.only ?? (options.isShort ? Object.keys(landed) : undefined));

if (chosen.some(({ kind }) => kind !== 'alone') && spawnSync('wrk', ['--version']).error) {
  process.stderr.write('bench: the load comes from wrk, which is not installed (Debian: apt-get install wrk)\n');
  process.exit(2);
}
if (canPin) spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(cores.load), String(process.pid)]);
else say('bench: processes cannot be kept to a core here; the numbers compare less well');

const folder = mkdtempSync(join(tmpdir(), 'breakwater-bench-'));
const upstream = await start({ command: [process.execPath, join(here, 'upstream.ts')], core: cores.load });
const plan: Plan = {
  ...length(),
  isShort: options.isShort,
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
    const results = await measureTwice(one);
    say(`${casesTable(one, results)}`);
    say(noiseText(results));
    say(direct === undefined ? '' : `load and upstream alone: ${direct.toFixed(0)} per second\n`);
    report.push({ case: one.name, title: one.title, results, ...(direct === undefined ? {} : { direct }) });
    const judged = judge(one, results);
    if (!options.isShort) verdicts.push(...judged);
    else {
      const isTooNoisy = noiseOf(results)?.isNoisy === true;
      const own = judged.filter(({ what }) => what.includes('CPU time over ours'));
      verdicts.push(...own.map((verdict) => (isTooNoisy && verdict.isMet === false ? { ...verdict, isMet: undefined } : verdict)));
    }
  }
} finally {
  await upstream.stop();
  rmSync(folder, { recursive: true, force: true });
}
say(verdictsTable(verdicts));
save();
if (options.land) land();
process.exitCode = verdicts.some(({ isMet }) => isMet === false) ? 1 : 0;

/** In short form a figure that is missed is measured once more; on a busy machine it is shown, and fails nothing. */
async function measureTwice(one: Case): Promise<Results> {
  const results = await measureCase(one, plan);
  if (!options.isShort || !misses(one, results)) return results;
  say(`${one.name}: missed, measured once more`);
  return measureCase(one, { ...plan, rounds: plan.rounds * 2 });
}

function misses(one: Case, results: Results): boolean {
  return judge(one, results).some(({ what, isMet }) => what.includes('CPU time over ours') && isMet === false);
}

function choose(only: readonly string[] | undefined): readonly (Case | AloneCase)[] {
  const all = [...cases, ...aloneCases];
  const names = only ?? all.map(({ name }) => name);
  const unknown = names.filter((name) => !all.some((one) => one.name === name));
  if (unknown.length === 0) return all.filter(({ name }) => names.includes(name));
  process.stderr.write(`bench: there is no case ${unknown.join(', ')}; there are ${all.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

async function runAlone(one: AloneCase): Promise<void> {
  const results = await measureAlone(one, options.isQuick);
  say(`${rowsTable(one, results)}\n`);
  report.push({ case: one.name, title: one.title, results });
  verdicts.push(...judge(one, results));
}

function length(): Pick<Plan, 'rounds' | 'seconds' | 'warmUpCpuMs'> {
  const { isQuick, isShort, rounds } = options;
  const usual = isShort
    ? { rounds: 4, seconds: 1, warmUpCpuMs: 4000 }
    : isQuick
      ? { rounds: 3, seconds: 1, warmUpCpuMs: 4000 }
      : { rounds: 7, seconds: 2, warmUpCpuMs: 6000 };
  return rounds === undefined ? usual : { ...usual, rounds };
}

function land(): void {
  const figures: Record<string, number> = { ...landed };
  for (const { case: name, results } of report) {
    const ratio = name in figures ? cpuRatio(results) : undefined;
    if (ratio !== undefined) figures[name] = Math.round(ratio * 100) / 100;
  }
  writeFileSync(join(here, 'landed.json'), `${JSON.stringify(figures, undefined, 2)}\n`);
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
  writeFileSync(file, `${JSON.stringify({ at, machine, isQuick: options.isQuick, report, verdicts }, undefined, 2)}\n`);
  say(`\nwritten to ${file}`);
}
