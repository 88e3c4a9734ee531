/** Determines which targets can serve a request: other dialects do not support all of its features. */
import { BreakwaterError } from '../../core/errors.ts';
import type { Operation } from '../../core/request.ts';
import { convertRequest, isConversionCached, speaks } from '../../wire/conversion.ts';
import { isLarge } from './large-conversions.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { callerBody, isConverted } from './sent-body.ts';
import type { Route, RouteTarget, TargetState, Tiers } from '../route/route.ts';

/** A target that can't serve the request, and why. */
export interface Incapable {
  readonly target: RouteTarget;
  /** The unsupported member; null: the operation is not supported. */
  readonly field: string | null;
  readonly message: string;
}

export interface Capable {
  readonly tiers: Tiers;
  readonly incapable: readonly Incapable[];
}

const NONE: readonly Incapable[] = [];

/**
 * The targets of `tiers` that can serve the request. Below a tier with a target that needs no conversion, tiers are not examined until they
 * are used (`whyIncapable`).
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

/** A smaller prompt without tools is supported by every target. */
const MODEST_TOKENS = 4_000;

function isModest({ facts }: GatewayRequest): boolean {
  return !facts.hasTools && facts.inputTokens <= MODEST_TOKENS;
}

/** The factor by which the estimate of input tokens may be too high. */
const ESTIMATE_SLACK = 2;

/** Models whose known context is too small for the prompt, or that do not support tools, unless no other is left, as this may be wrong. */
function unlikely(request: GatewayRequest, targets: readonly RouteTarget[], unable: readonly Incapable[]): readonly Incapable[] {
  const { facts } = request;
  const left = targets.filter((target) => !unable.some((other) => other.target === target));
  const unfit = left.flatMap((target): Incapable[] => {
    const { name, contextTokens, callsTools } = target.state;
    if (facts.hasTools && !callsTools) return [{ target, field: 'tools', message: `${name} does not support tools` }];
    if (contextTokens === null || facts.inputTokens / ESTIMATE_SLACK <= contextTokens) return [];
    return [{ target, field: null, message: `the prompt is larger than the context of ${contextTokens} tokens of ${name}` }];
  });
  const isUnfit = (target: RouteTarget): boolean => unfit.some((other) => other.target === target);
  return unfit.length > 0 && left.some((target) => !isUnfit(target) && whyIncapableNow(request, target) === null) ? unfit : NONE;
}

/** Whether the target supports this operation of its dialect. */
export function serves({ endpoint }: TargetState, operation: Operation, path: string): boolean {
  return endpoint.serves === undefined || endpoint.serves(operation, path);
}

/** True if the request is sent to the target without conversion. */
export function takesAsItIs({ dialect, facts, path }: GatewayRequest, state: TargetState): boolean {
  return speaks(dialect, state) && serves(state, facts.operation, path);
}

/** True if the request can be sent to the target at once: it needs no conversion, or the conversion is small or cached. */
export function isCarriedAtOnce(request: GatewayRequest, target: RouteTarget): boolean {
  return isExaminedAtOnce(request, target) && whyIncapable(request, target) === null;
}

/** True if no large conversion is needed: none, a small one, or a cached one. */
function isExaminedAtOnce(request: GatewayRequest, { state }: RouteTarget): boolean {
  const body = callerBody(request, state);
  return takesAsItIs(request, state) || !isLarge(body) || isConversionCached(body, state.wire.key);
}

/** As `whyIncapable`; also null if that requires a large conversion. */
function whyIncapableNow(request: GatewayRequest, target: RouteTarget): Incapable | null {
  return isExaminedAtOnce(request, target) ? whyIncapable(request, target) : null;
}

/** Why the target can't serve the request; null: it can. */
export function whyIncapable(request: GatewayRequest, target: RouteTarget): Incapable | null {
  const { wire, name } = target.state;
  if (takesAsItIs(request, target.state)) return null;
  if (!isConverted(request, target.state)) return { target, field: null, message: `${name} does not serve ${request.path}` };
  const converted = convertRequest(request.dialect, callerBody(request, target.state), request.facts.stream, wire);
  if (!converted.ok) return { target, field: converted.field, message: converted.message };
  const [field] = target.policy.conversion === 'strict' ? converted.dropped : [];
  if (field === undefined) return null;
  return { target, field, message: `'${field}' would be dropped for a provider of another protocol, and policy.conversion is strict` };
}

/** The error if no target of the route can serve the request. */
export function incapableError(route: Route, incapable: readonly Incapable[]): BreakwaterError {
  const names = [...new Set(incapable.map(({ target }) => target.state.name))].join(', ');
  const { field, message } = incapable[0]!;
  const text = `no target for ${JSON.stringify(route.name)} can serve this request: ${message} (${names})`;
  return new BreakwaterError('capability_unsupported', text, field === null ? {} : { param: field });
}
