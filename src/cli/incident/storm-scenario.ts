/** An incident as the options of a Storm: on real sockets, and in real time from the start of the Storm. */
import { isFaultKind } from '../../storm/fault-names.ts';
import type { StormFault, StormFaultKind, StormOptions, StormPhase, StormTiming } from '../../storm/index.ts';
import type { SimulatedFault, SimulatedFaultKind } from '../../testing/simulated-faults.ts';
import { OperatorError } from '../fail.ts';
import type { IncidentTarget } from './incident.ts';
import { parseIncident } from './read-incident.ts';

const KINDS: Readonly<Record<SimulatedFaultKind, StormFaultKind>> = {
  rate_limit: '429',
  server_error: '500',
  overloaded: '503',
  refusal: '403',
  // One model of a server can't refuse connections.
  refused: 'reset',
  reset: 'reset',
  silence: 'silence',
  stall: 'stall',
  cut: 'cut',
  error_event: 'error-first',
  empty: 'empty',
};

export interface StormScenario {
  readonly options: Required<Pick<StormOptions, 'models' | 'faults' | 'phases'>>;
  /** For the operator, one line. */
  readonly summary: string;
}

/** `provider`: only its models; null: all. Throws an `OperatorError`. */
export async function readScenario(file: string, provider: string | null): Promise<StormScenario> {
  const { targets, from, to } = await parseIncident(file);
  const chosen = Object.entries(targets).map(([target, behaviour]) => ({ ...splitTarget(target), behaviour }));
  const used = provider === null ? chosen : chosen.filter((one) => one.provider === provider);
  const providers = [...new Set(chosen.map((one) => one.provider))].join(', ');
  if (used.length === 0) throw new OperatorError([`${file}: no target of ${provider ?? 'any provider'}; it has ${providers || 'none'}`]);
  const models = [...new Set(used.map(({ model }) => model))];
  if (models.length < used.length)
    throw new OperatorError([`${file}: several providers have the same model: choose one with --provider (${providers})`]);
  const minutes = Number(((to - from) / 60_000).toFixed(1));
  return {
    options: {
      models,
      faults: used.flatMap(({ model, behaviour }) => behaviour.faults.map((fault) => toFault(model, fault))),
      phases: used.flatMap(({ model, behaviour }) => behaviour.phases.map((phase) => toPhase(model, phase))),
    },
    summary: `replaying ${minutes} min from ${new Date(from).toISOString()} for ${models.join(', ')}; POST /storm/reset starts it again`,
  };
}

function splitTarget(target: string): { readonly provider: string; readonly model: string } {
  const slash = target.indexOf('/');
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}

function toFault(model: string, { kind, status, probability, fromMs, untilMs }: SimulatedFault): StormFault {
  const named = String(status);
  return {
    ...(status === undefined ? { kind: KINDS[kind] } : { kind: isFaultKind(named) ? named : 'status', status }),
    models: [model],
    ...(probability !== undefined && { probability }),
    ...windowOf({ fromMs, untilMs }),
  };
}

function toPhase(model: string, { plain, fromMs, untilMs, ...stream }: IncidentTarget['phases'][number]): StormPhase {
  const timing = timingOf(stream);
  return { models: [model], ...windowOf({ fromMs, untilMs }), timing, nonStreaming: plain === undefined ? timing : timingOf(plain) };
}

function timingOf({
  firstTokenMs,
  tokensPerSecond,
}: Pick<IncidentTarget['phases'][number], 'firstTokenMs' | 'tokensPerSecond'>): StormTiming {
  return { ...(firstTokenMs !== undefined && { firstTokenMs: spreadOf(firstTokenMs) }), ...(tokensPerSecond !== undefined && { tokensPerSecond: spreadOf(tokensPerSecond) }) }; // prettier-ignore
}

type SimulatedSpread = NonNullable<IncidentTarget['phases'][number]['firstTokenMs']>;

/** Incidents have samples only; the median stands for any other spread. */
function spreadOf(spread: SimulatedSpread): NonNullable<StormTiming['firstTokenMs']> {
  if (typeof spread === 'number') return spread;
  return 'samples' in spread ? { samples: [...spread.samples] } : spread.p50;
}

function windowOf({
  fromMs,
  untilMs,
}: {
  readonly fromMs: number | undefined;
  readonly untilMs: number | undefined;
}): Pick<StormFault, 'from' | 'until'> {
  return { ...(fromMs !== undefined && { from: fromMs }), ...(untilMs !== undefined && { until: untilMs }) };
}
