/** `breakwater simulate`: runs a recorded or generated load against a config, in virtual time. */
import { readFile } from 'node:fs/promises';
import { findConfigFile, loadConfigFile, type Config } from '../gateway/config/index.ts';
import { isSecretVariable } from '../gateway/config/mask.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { generateLoad } from '../testing/workload.ts';
import { OperatorError } from './fail.ts';
import type { SimulateFlags } from './simulate-options.ts';
import { readIncident } from './incident/read-incident.ts';
import { breaches, costNotes, diffRows, renderDiff } from './simulate/diff.ts';
import { DEFAULT_LOAD, readLoad } from './simulate/load-spec.ts';
import { readRecording, type Recording } from './simulate/recording.ts';
import { renderReport } from './simulate/report.ts';
import { runScenario, type ScenarioFigures } from './simulate/scenario.ts';

export async function simulate(flags: SimulateFlags): Promise<void> {
  const { seed, without = [], json = false } = flags;
  if (flags.requests !== undefined && flags.load !== undefined) throw new OperatorError(['give either --requests or --load']);
  if (flags.diff !== undefined) return compare(flags, flags.diff);
  const unused = [flags.maxP95WaitIncrease, flags.maxCostIncrease, flags.maxRefused].some((limit) => limit !== undefined);
  if (unused) throw new OperatorError(['--max-p95-wait-increase, --max-cost-increase and --max-refused need --diff']);
  const config = await readConfig(flags.config);
  for (const name of without) requireProvider(config, name);
  const { requests, targets, notes } = await loadOf(flags, config);
  const scenarios: ScenarioFigures[] = [];
  for (const taken of [null, ...new Set(without)]) scenarios.push(await runScenario({ config, requests, targets, seed, without: taken }));
  const allNotes = [`seed ${seed}`, ...notes, ...limitNotes(config)];
  process.stdout.write(json ? `${JSON.stringify({ seed, notes: allNotes, scenarios }, null, 2)}\n` : renderReport(scenarios, allNotes));
}

/** Runs one load against two configs. Exit code 1: a threshold is exceeded. */
async function compare(flags: SimulateFlags, files: readonly string[]): Promise<void> {
  const [oldFile, newFile, ...more] = files;
  if (oldFile === undefined || newFile === undefined || more.length > 0)
    throw new OperatorError(['--diff needs two config files: OLD NEW']);
  if (flags.config !== undefined || flags.without !== undefined) throw new OperatorError(['--diff excludes --config and --without']);
  const { seed } = flags;
  const runs: ScenarioFigures[] = [];
  const notes: string[] = [`seed ${seed}`];
  for (const [name, file] of [
    ['before', oldFile],
    ['after', newFile],
  ] as const) {
    const config = await readConfig(file);
    const { requests, targets, notes: own } = await loadOf(flags, config);
    runs.push(await runScenario({ config, requests, targets, seed, without: null }));
    for (const note of [...own, ...limitNotes(config)]) notes.push(`${name}: ${note.trim()}`);
  }
  const [before, after] = runs as [ScenarioFigures, ScenarioFigures];
  notes.push(...costNotes(before, after));
  const { maxP95WaitIncrease = null, maxCostIncrease = null, maxRefused = null } = flags;
  const isChecked = maxP95WaitIncrease !== null || maxCostIncrease !== null || maxRefused !== null;
  const found = isChecked ? breaches(before, after, { maxP95WaitIncrease, maxCostIncrease, maxRefused }) : null;
  const rows = diffRows(before, after);
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ seed, exceeded: found ?? [], rows, notes, before, after }, null, 2)}\n`
      : renderDiff(rows, found, notes),
  );
  if (found !== null && found.length > 0) process.exitCode = 1;
}

async function loadOf(flags: SimulateFlags, config: Config): Promise<Recording> {
  if (flags.requests !== undefined) {
    const recording = await readRecording(flags.requests, config);
    if (flags.incident === undefined) return recording;
    return { ...recording, targets: await readIncident(flags.incident, recording.firstAt!, recording.targets) };
  }
  if (flags.incident !== undefined) throw new OperatorError(['--incident needs --requests']);
  const spec = flags.load ?? DEFAULT_LOAD;
  const requests = generateLoad(readLoad(spec, config), createSeededRandom(flags.seed + 0.25));
  if (requests.length === 0) throw new OperatorError([`--load: ${spec} generates no request`]);
  return { requests, targets: new Map(), firstAt: null, notes: [`load ${spec}; latencies are assumed: see breakwater simulate --help`] };
}

/** Nothing is sent, so keys missing from the environment are replaced by placeholders. */
async function readConfig(named: string | undefined): Promise<Config> {
  const file = named ?? (await findConfigFile(process.cwd(), process.env));
  if (file === null) throw new OperatorError(['no config found: name one with --config FILE']);
  const text = await readFile(file, 'utf8').catch(() => '');
  const madeUp = [...text.matchAll(/\$\{([A-Za-z_]\w*)/g)].map((match) => match[1]!).filter(isSecretVariable);
  const env = { ...Object.fromEntries(madeUp.map((name) => [name, `simulated-${name}`])), ...process.env };
  const result = await loadConfigFile(file, env);
  if (!result.ok) throw new OperatorError(result.faults.map(({ path, message }) => (path === '' ? message : `${file}: ${message}`)));
  if (Object.keys(result.config.providers).length === 0) throw new OperatorError([`${file}: no provider is configured`]);
  return result.config;
}

function requireProvider(config: Config, name: string): void {
  const names = Object.keys(config.providers);
  if (!names.includes(name))
    throw new OperatorError([`--without: no provider named ${JSON.stringify(name)}; there are ${names.join(', ')}`]);
}

/** A provider without limits makes the result too optimistic. */
function limitNotes(config: Config): string[] {
  const unlimited = Object.values(config.providers).filter(({ limits, models }) => {
    return Object.keys(limits).every((key) => key === 'burst' || key === 'window') && Object.keys(models).length === 0;
  });
  if (unlimited.length === 0) return [];
  return [`no limits are configured for ${unlimited.map(({ name }) => name).join(', ')}: simulated without any`];
}
