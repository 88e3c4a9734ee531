/** Which targets can carry a request at all: those of other dialects have no place for some of what may be asked. */
import { BreakwaterError } from '../../core/errors.ts';
import type { Operation } from '../../core/request.ts';
import { convertRequest, isConversionCached, speaks } from '../../wire/conversion.ts';
import { isLarge } from './large-conversions.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { callerBody, isConverted } from './sent-body.ts';
import type { Route, RouteTarget, TargetState, Tiers } from '../route/route.ts';

/** A target that can't be asked, and why. */
export interface Incapable {
  readonly target: RouteTarget;
  /** The member that the target has no place for; null: it does not serve the operation. */
  readonly field: string | null;
  readonly message: string;
}

export interface Capable {
  readonly tiers: Tiers;
  readonly incapable: readonly Incapable[];
}

const NONE: readonly Incapable[] = [];

/**
 * Those of `tiers` that can carry the request. While a better tier holds a target that needs no conversion, a worse one is not examined:
 * `whyIncapable` does so when it is chosen.
 */
export function capableOf(request: GatewayRequest, route: Route, tiers: Tiers): Capable {
  const areAllSpeaking = route.areAllSpeaking(request.dialect);
  const { operation } = request.facts;
  if (areAllSpeaking && operation !== 'bytes' && isModest(request)) return { tiers, incapable: NONE };
  const targets = tiers.flat();
  const isExamined = !areAllSpeaking || operation === 'bytes';
  const unable = isExamined ? firstTiers(request, tiers).flatMap((target) => whyIncapableNow(request, target) ?? []) : NONE;
  const incapable = [...unable, ...unlikely(request, targets, unable)];
  if (incapable.length === 0) return { tiers, incapable };
  const removed = incapable.map(({ target }) => target);
  return { tiers: without(route, tiers, removed), incapable };
}

/** `tiers` without some targets. */
export function without(route: Route, tiers: Tiers, removed: readonly RouteTarget[]): Tiers {
  const left = new Set(tiers.flat());
  for (const target of removed) left.delete(target);
  const all = route.tiers.flat();
  return route.select(`capable ${[...left].map((target) => all.indexOf(target)).join()}`, (target) => left.has(target));
}

/** The targets down to the first tier with one that needs no conversion. */
function firstTiers(request: GatewayRequest, tiers: Tiers): readonly RouteTarget[] {
  const last = tiers.findIndex((tier) => tier.some(({ state }) => takesAsItIs(request, state)));
  return (last < 0 ? tiers : tiers.slice(0, last + 1)).flat();
}

/** A smaller prompt without tools fits everywhere. */
const MODEST_TOKENS = 4_000;

function isModest({ facts }: GatewayRequest): boolean {
  return !facts.hasTools && facts.inputTokens <= MODEST_TOKENS;
}

/** Our estimate of the input is at most so many times too high. */
const ESTIMATE_SLACK = 2;

/** Models that are known to be too small for the prompt, or to call no tools, as long as another one is left: what is known may be wrong. */
function unlikely(request: GatewayRequest, targets: readonly RouteTarget[], unable: readonly Incapable[]): readonly Incapable[] {
  const { facts } = request;
  const left = targets.filter((target) => !unable.some((other) => other.target === target));
  const unfit = left.flatMap((target): Incapable[] => {
    const { name, contextTokens, callsTools } = target.state;
    if (facts.hasTools && !callsTools) return [{ target, field: 'tools', message: `${name} is known to call no tools` }];
    if (contextTokens === null || facts.inputTokens / ESTIMATE_SLACK <= contextTokens) return [];
    return [{ target, field: null, message: `the prompt is larger than the ${contextTokens} tokens that ${name} takes` }];
  });
  const isUnfit = (target: RouteTarget): boolean => unfit.some((other) => other.target === target);
  return unfit.length > 0 && left.some((target) => !isUnfit(target) && whyIncapableNow(request, target) === null) ? unfit : NONE;
}

/** False: the target speaks the dialect, but not this part of it. */
export function serves({ endpoint }: TargetState, operation: Operation, path: string): boolean {
  return endpoint.serves === undefined || endpoint.serves(operation, path);
}

/** True if the target gets the request as it came. */
export function takesAsItIs({ dialect, facts, path }: GatewayRequest, state: TargetState): boolean {
  return speaks(dialect, state) && serves(state, facts.operation, path);
}

/** True if the request can be sent to the target at once: it needs no conversion, or one that is small or made already. */
export function isCarriedAtOnce(request: GatewayRequest, target: RouteTarget): boolean {
  return isExaminedAtOnce(request, target) && whyIncapable(request, target) === null;
}

/** Its conversion is not to be made on the event loop: it is none, small, or made already. */
function isExaminedAtOnce(request: GatewayRequest, { state }: RouteTarget): boolean {
  const body = callerBody(request, state);
  return takesAsItIs(request, state) || !isLarge(body) || isConversionCached(body, state.wire.key);
}

/** As `whyIncapable`; null too where that is not known without a large conversion. */
function whyIncapableNow(request: GatewayRequest, target: RouteTarget): Incapable | null {
  return isExaminedAtOnce(request, target) ? whyIncapable(request, target) : null;
}

/** Why the target can't carry the request; null: it can. */
export function whyIncapable(request: GatewayRequest, target: RouteTarget): Incapable | null {
  const { wire, name } = target.state;
  if (takesAsItIs(request, target.state)) return null;
  if (!isConverted(request, target.state)) return { target, field: null, message: `${name} does not serve ${request.path}` };
  const converted = convertRequest(request.dialect, callerBody(request, target.state), request.facts.stream, wire);
  if (!converted.ok) return { target, field: converted.field, message: converted.message };
  const [field] = target.policy.conversion === 'strict' ? converted.dropped : [];
  if (field === undefined) return null;
  return { target, field, message: `'${field}' would be left out for a provider of another protocol, and policy.conversion is strict` };
}

/** No target of the route can carry the request. */
export function incapableError(route: Route, incapable: readonly Incapable[]): BreakwaterError {
  const names = [...new Set(incapable.map(({ target }) => target.state.name))].join(', ');
  const { field, message } = incapable[0]!;
  const text = `no target for ${JSON.stringify(route.name)} can serve this request: ${message} (${names})`;
  return new BreakwaterError('capability_unsupported', text, field === null ? {} : { param: field });
}
