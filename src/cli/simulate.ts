/** `breakwater simulate`: runs a recorded or generated load against a config, in virtual time. */
import { readFile } from 'node:fs/promises';
import { findConfigFile, loadConfigFile, type Config } from '../gateway/config/index.ts';
import { isSecretVariable } from '../gateway/config/mask.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { generateLoad } from '../testing/workload.ts';
import { OperatorError } from './fail.ts';
import type { SimulateFlags } from './simulate-options.ts';
import { DEFAULT_LOAD, readLoad } from './simulate/load-spec.ts';
import { readRecording, type Recording } from './simulate/recording.ts';
import { renderReport } from './simulate/report.ts';
import { runScenario, type ScenarioFigures } from './simulate/scenario.ts';

export async function simulate(flags: SimulateFlags): Promise<void> {
  const { seed, without = [], json = false } = flags;
  if (flags.requests !== undefined && flags.load !== undefined) throw new OperatorError(['give either --requests or --load']);
  const config = await readConfig(flags.config);
  for (const name of without) requireProvider(config, name);
  const { requests, targets, notes } = await loadOf(flags, config);
  const scenarios: ScenarioFigures[] = [];
  for (const taken of [null, ...new Set(without)]) scenarios.push(await runScenario({ config, requests, targets, seed, without: taken }));
  const allNotes = [`seed ${seed}`, ...notes, ...limitNotes(config)];
  process.stdout.write(json ? `${JSON.stringify({ seed, notes: allNotes, scenarios }, null, 2)}\n` : renderReport(scenarios, allNotes));
}

async function loadOf(flags: SimulateFlags, config: Config): Promise<Recording> {
  if (flags.requests !== undefined) return readRecording(flags.requests, config);
  const spec = flags.load ?? DEFAULT_LOAD;
  const requests = generateLoad(readLoad(spec, config), createSeededRandom(flags.seed + 0.25));
  if (requests.length === 0) throw new OperatorError([`--load: ${spec} generates no request`]);
  return { requests, targets: new Map(), notes: [`load ${spec}; latencies are assumed: see breakwater simulate --help`] };
}

/** Nothing is sent, so keys missing from the environment are replaced by placeholders. */
async function readConfig(named: string | undefined): Promise<Config> {
  const file = named ?? (await findConfigFile(process.cwd(), process.env));
  if (file === null) throw new OperatorError(['no config found: name one with --config FILE']);
  const text = await readFile(file, 'utf8').catch(() => '');
  const madeUp = [...text.matchAll(/\$\{([A-Za-z_]\w*)/g)].map((match) => match[1]!).filter(isSecretVariable);
  const env = { ...Object.fromEntries(madeUp.map((name) => [name, 'simulated'])), ...process.env };
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
