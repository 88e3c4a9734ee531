/** The edits made to a request for a target, and how repairs change them. */
import type { RequestEdits } from '../../wire/dialect.ts';
import type { Cut } from '../../wire/opaque/opaque.ts';
import type { BodyMember, RequestBody } from '../../wire/request-body.ts';
import { unset, UNASK } from '../../policy/repair/repair.ts';
import type { Repair } from '../../policy/repair/repair.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { isBound } from '../opaque/pieces.ts';
import type { BodyCut } from '../opaque/pieces.ts';
import { isConverted, sentBody } from '../conversion/sent-body.ts';
import type { RouteTarget } from '../route/route.ts';

/** The two names of a chat request's output limit. A target that refuses one is sent the other, so that the limit holds. */
const LIMITS = ['max_tokens', 'max_completion_tokens'] as const;

/** The other name of an output limit; null: `field` is not one. */
export function otherLimit(field: string | null): string | null {
  if (field === LIMITS[0]) return LIMITS[1];
  return field === LIMITS[1] ? LIMITS[0] : null;
}

/** The edits of a request for one target; `cut`: what is removed because the target can't read it. */
export function editsFor(request: GatewayRequest, target: RouteTarget, repairs: readonly Repair[], cut: BodyCut | null): RequestEdits {
  const { state } = target;
  const { set, drop } = permittedOf(request, target);
  const askUsage = asksUsage(request, target);
  if (repairs.length === 0 && cut === null) return { model: state.model, set, drop, askUsage };
  const edits = {
    model: state.model,
    set: { ...set },
    drop: [...drop, ...(cut?.drop ?? [])],
    rename: new Map<string, string>(),
    askUsage,
    cuts: cut?.cuts ?? NO_CUTS,
  };
  for (const repair of repairs) {
    if (repair.kind === 'unask') edits.askUsage = false;
    else if (repair.kind === 'unset') delete edits.set[repair.field];
    else if (repair.kind === 'drop') edits.drop.push(repair.field);
    else renameIn(edits, sentBody(request, state), repair.field, repair.to!);
  }
  return edits;
}

/** The caller's members that are not sent to a target. */
export function leftOut(request: GatewayRequest, target: RouteTarget, repairs: readonly Repair[], cut: BodyCut | null): readonly string[] {
  if (target.drop.length === 0 && repairs.length === 0 && cut === null) return NO_NAMES;
  const { drop = NO_NAMES, set = {} } = editsFor(request, target, repairs, cut);
  return drop.filter((name) => !(name in set) && memberOf(request.body, name) !== undefined);
}

const NO_CUTS: readonly Cut[] = [];

/** `set` and `drop` of the route, except for members that signed reasoning in the request is bound to. */
function permittedOf(request: GatewayRequest, target: RouteTarget): Pick<RouteTarget, 'set' | 'drop'> {
  const bound = boundEdits(request, target);
  if (bound.length === 0) return target;
  const set = Object.entries(target.set).filter(([name]) => !bound.includes(name));
  return { set: Object.fromEntries(set), drop: target.drop.filter((name) => !bound.includes(name)) };
}

/** The members that the route would change although signed reasoning in the request is bound to them. */
export function boundEdits(request: GatewayRequest, target: RouteTarget): readonly string[] {
  if (request.body.opaque !== true || isConverted(request, target.state)) return NO_NAMES;
  return [...new Set([...Object.keys(target.set), ...target.drop])].filter((name) => isBound(request, name));
}

const NO_NAMES: readonly string[] = [];

interface Renaming {
  readonly set: Record<string, unknown>;
  readonly drop: string[];
  readonly rename: Map<string, string>;
}

/** If the request has both names, the member under the new one is kept. */
function renameIn({ set, drop, rename }: Renaming, body: RequestBody, from: string, to: string): void {
  if (set[from] !== undefined) {
    set[to] ??= set[from];
    delete set[from];
  }
  if (set[to] !== undefined || memberOf(body, to) !== undefined) drop.push(from);
  else rename.set(from, to);
}

/** True if only Breakwater, not the caller, asks for the usage of the stream. */
function asksUsage(request: GatewayRequest, { state, set, drop }: RouteTarget): boolean {
  const { stream, wantsUsage } = request.facts;
  if (!stream || !state.includeUsage || (wantsUsage && !isConverted(request, state))) return false;
  return !drop.includes('stream_options') || 'stream_options' in set;
}

/** The last of repeated members, as with JSON.parse. */
export function memberOf(body: RequestBody, field: string): BodyMember | undefined {
  return body.members.findLast((member) => member.name === field);
}

/** The JSON text of a member as the caller wrote it. */
export function valueOf(body: RequestBody, { start, end }: BodyMember): string {
  return Buffer.from(body.bytes.buffer, body.bytes.byteOffset + start, end - start).toString();
}

/** True if the repair can change what is sent, whatever other repairs are made. */
export function mayConcern(request: GatewayRequest, target: RouteTarget, repair: Repair): boolean {
  return concerns(request, target, repair, repair.kind === 'drop' ? unsetsOf(target.set) : []);
}

/** True if the repair changes what is sent, given the other repairs made. */
export function concerns(request: GatewayRequest, target: RouteTarget, repair: Repair, made: readonly Repair[]): boolean {
  const { kind, field, value } = repair;
  if (request.facts.operation === 'bytes') return false;
  if (!isConverted(request, target.state) && isBound(request, field)) return false;
  if (kind === 'unask') return asksUsage(request, target);
  if (kind === 'unset') return field in target.set && JSON.stringify(target.set[field]) === value;
  const body = sentBody(request, target.state);
  const member = memberOf(body, field);
  if (kind === 'rename') return request.facts.operation === 'chat' && (member !== undefined || field in target.set);
  if (member === undefined || target.drop.includes(field)) return false;
  if (field in target.set && !made.some((other) => other.kind === 'unset' && other.field === field)) return false;
  return value === null || valueOf(body, member) === value;
}

/** The repairs that would undo Breakwater's own additions, except those already made. */
export function undoable(request: GatewayRequest, target: RouteTarget, made: readonly Repair[]): Repair[] {
  if (request.facts.operation === 'bytes') return [];
  const found: Repair[] = asksUsage(request, target) ? [UNASK] : [];
  const body = sentBody(request, target.state);
  for (const repair of unsetsOf(target.set)) {
    if (!isConverted(request, target.state) && isBound(request, repair.field)) continue;
    const member = memberOf(body, repair.field);
    if (member === undefined || valueOf(body, member) !== repair.value) found.push(repair);
  }
  return made.length === 0 ? found : found.filter((repair) => !made.some(({ key }) => key === repair.key));
}

const unsets = new WeakMap<object, readonly Repair[]>();

/** One repair for each field that a route sets; created once per route. */
function unsetsOf(set: RouteTarget['set']): readonly Repair[] {
  let known = unsets.get(set);
  if (known === undefined) {
    const texts = Object.entries(set).map(([field, value]) => [field, JSON.stringify(value) as string | undefined] as const);
    known = texts.flatMap(([field, text]) => (text === undefined || field === 'model' ? [] : [unset(field, text)]));
    unsets.set(set, known);
  }
  return known;
}
