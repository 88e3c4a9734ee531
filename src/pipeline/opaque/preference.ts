/** Routes requests with opaque items: preferably to the maker of the items, and only there for state that one account holds. */
import type { Engine } from '../request/engine.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { without } from '../conversion/capability.ts';
import type { Capable, Incapable } from '../conversion/capability.ts';
import type { Route, RouteTarget, Tiers } from '../route/route.ts';
import { piecesIn, placeOf, readingOf } from './pieces.ts';

const NONE: readonly RouteTarget[] = [];

/** The targets of `tiers` that made some of the items, the maker of the latest first. */
export function makersAmong(engine: Engine, request: GatewayRequest, tiers: Tiers): readonly RouteTarget[] {
  const { pieces } = piecesIn(request);
  const { history } = request;
  if (history !== undefined) return tiers.flat().filter(({ state }) => state.name === history.maker);
  if (pieces.length === 0) return NONE;
  const nowMs = engine.clock.epochMs();
  const others = new Set(tiers.flat());
  const makers: RouteTarget[] = [];
  for (const piece of pieces.toReversed()) {
    for (const target of others) {
      if (readingOf(engine.makers, nowMs, piece, placeOf(request, target.state)) !== 'own') continue;
      makers.push(target);
      others.delete(target);
    }
    if (others.size === 0) break;
  }
  return makers;
}

/** Removes targets that do not hold the state that the request references by id. */
export function holdingOnly(engine: Engine, request: GatewayRequest, route: Route, capable: Capable): Capable {
  const states = piecesIn(request).pieces.filter(({ kind }) => kind === 'state');
  if (states.length === 0) return capable;
  const nowMs = engine.clock.epochMs();
  const targets = capable.tiers.flat();
  const incapable: Incapable[] = [];
  for (const piece of states) {
    const holders = engine.makers.makers(nowMs, piece.id);
    if (holders.length === 0) continue;
    const isHeld = (target: RouteTarget): boolean => readingOf(engine.makers, nowMs, piece, placeOf(request, target.state)) === 'own';
    // If the provider's keys were replaced since, it holds the state under a different key.
    const holds = targets.some(isHeld) ? isHeld : ({ state }: RouteTarget) => holders.some(({ provider }) => provider === state.provider);
    for (const target of targets) {
      if (holds(target) || incapable.some((other) => other.target === target)) continue;
      incapable.push({ target, field: piece.field, message: `${target.state.name} does not hold the ${piece.field} of the request` });
    }
  }
  if (incapable.length === 0) return capable;
  const removed = incapable.map(({ target }) => target);
  return { tiers: without(route, capable.tiers, removed), incapable: [...capable.incapable, ...incapable] };
}

/** True if the request references state by id that this account is not known to hold, so that another one may. */
export function mayBeHeldElsewhere({ engine, request }: { engine: Engine; request: GatewayRequest }, { state }: RouteTarget): boolean {
  const place = placeOf(request, state);
  return piecesIn(request).pieces.some(
    (piece) => piece.kind === 'state' && readingOf(engine.makers, engine.clock.epochMs(), piece, place) === 'unknown',
  );
}
