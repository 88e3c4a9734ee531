/**
 * The fault kinds by family. A new kind needs a name in `fault-names.ts` and a behaviour in its family. On a
 * non-streaming request a stream fault has its closest equivalent (cut after half of the body, a body that contains an
 * error), or no effect.
 */
import type { Family } from './fault-behaviour.ts';
import type { StormFaultKind } from './fault-names.ts';
import { BODIES } from './kinds/bodies.ts';
import { CHUNKS } from './kinds/chunks.ts';
import { CONNECTIONS } from './kinds/connections.ts';
import { CONTENTS } from './kinds/contents.ts';
import { ENCODINGS } from './kinds/encodings.ts';
import { ENDS } from './kinds/stream-ends.ts';
import { FRAMINGS } from './kinds/framings.ts';
import { LETTERS } from './kinds/syntax.ts';
import { REFUSALS, SHAPED_REFUSALS } from './kinds/refusals.ts';
import { SHAPED_EVENTS, STREAM_ERRORS } from './kinds/stream-errors.ts';
import { TOOLS } from './kinds/tools.ts';
import { WAITS } from './kinds/rate-limits.ts';

/** The families, in display order. */
export const FAULT_FAMILIES = {
  'errors by status': { ...REFUSALS, ...SHAPED_REFUSALS },
  'rate limits and their hints': WAITS,
  'connections and writes': CONNECTIONS,
  'HTTP framing': FRAMINGS,
  'content codings': ENCODINGS,
  'errors inside a response': { ...STREAM_ERRORS, ...SHAPED_EVENTS },
  'stream endings': ENDS,
  'SSE and JSON syntax': LETTERS,
  'unusual chunks': CHUNKS,
  'tool calls': TOOLS,
  content: CONTENTS,
  'bodies and content types': BODIES,
};

/** Every kind and its behaviour. */
export const FAULT_KINDS: Family<StormFaultKind> = {
  ...FAULT_FAMILIES['errors by status'],
  ...FAULT_FAMILIES['rate limits and their hints'],
  ...FAULT_FAMILIES['connections and writes'],
  ...FAULT_FAMILIES['HTTP framing'],
  ...FAULT_FAMILIES['content codings'],
  ...FAULT_FAMILIES['errors inside a response'],
  ...FAULT_FAMILIES['stream endings'],
  ...FAULT_FAMILIES['SSE and JSON syntax'],
  ...FAULT_FAMILIES['unusual chunks'],
  ...FAULT_FAMILIES['tool calls'],
  ...FAULT_FAMILIES['content'],
  ...FAULT_FAMILIES['bodies and content types'],
};
