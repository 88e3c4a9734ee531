/** `breakwater storm`: starts a simulated provider from command-line flags. */
import { describeFaults, runStorm } from '../storm/command.ts';
import { parseFault } from '../storm/fault-text.ts';
import type { StormFault, StormLimits, StormOptions, StormTiming } from '../storm/index.ts';
import { OperatorError } from './fail.ts';
import { readScenario } from './incident/storm-scenario.ts';
import { listenFault } from './listen-fault.ts';
import type { StormFlags } from './storm-options.ts';

const limitKeys = [
  'requestsPerMinute',
  'tokensPerMinute',
  'inputTokensPerMinute',
  'outputTokensPerMinute',
  'requestsPerDay',
  'concurrency',
  'enforce',
  'burst',
  'countFailures',
  'countOutput',
  'advertise',
  'hints',
] as const satisfies readonly (keyof StormLimits & keyof StormFlags)[];

const timingKeys = [
  'headersMs',
  'firstTokenMs',
  'tokensPerSecond',
  'tokens',
  'eventsPerPacket',
  'plainMs',
  'jitter',
] as const satisfies readonly (keyof StormTiming & keyof StormFlags)[];

export async function storm(flags: StormFlags): Promise<void> {
  const { fault = [], faultMix, listFaults, batchAfterMs = 0, batchFault = null, scenario, provider = null, ...rest } = flags;
  if (listFaults === true) {
    process.stdout.write(describeFaults());
    return;
  }
  if (provider !== null && scenario === undefined) throw new OperatorError(['--provider needs --scenario']);
  const replayed = scenario === undefined ? null : await readScenario(scenario, provider);
  if (replayed !== null) process.stderr.write(`${replayed.summary}\n`);
  const own = Object.entries(rest).filter(([key]) => !isIn(limitKeys, key) && !isIn(timingKeys, key));
  const options: StormOptions = {
    ...replayed?.options,
    ...(Object.fromEntries(own) as StormOptions),
    limits: limitsOf(rest),
    timing: pick(rest, timingKeys),
    batches: { afterMs: batchAfterMs, fault: batchFault },
    faults: [...fault.map((text) => readFault('--fault', text)), ...readMix(faultMix), ...(replayed?.options.faults ?? [])],
  };
  try {
    await runStorm(options);
  } catch (error) {
    throw listenFault(error, `${options.host ?? '127.0.0.1'}:${options.port ?? 0}`, '--port');
  }
}

/** An absent negatable flag reads as true; here that means the dialect's default. */
function limitsOf(flags: StormFlags): StormLimits {
  const { countOutput, ...limits } = pick(flags, limitKeys);
  return countOutput === false ? { ...limits, countOutput } : limits;
}

function readMix(weights: string | true | undefined): StormFault[] {
  if (weights === undefined) return [];
  return [readFault('--fault-mix', weights === true ? 'mix' : `mix-${weights}`)];
}

function readFault(flag: '--fault' | '--fault-mix', text: string): StormFault {
  const fault = parseFault(text);
  if (typeof fault === 'string') throw new OperatorError([`${flag}: ${fault.replace(/^storm: /, '')}; see breakwater storm --help`]);
  return fault;
}

function pick<K extends keyof StormFlags>(flags: StormFlags, keys: readonly K[]): Pick<StormFlags, K> {
  return Object.fromEntries(Object.entries(flags).filter(([key]) => isIn(keys, key))) as Pick<StormFlags, K>;
}

function isIn(keys: readonly string[], key: string): boolean {
  return keys.includes(key);
}
