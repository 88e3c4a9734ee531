/**
 * The faults, one entry each, by family. A new one needs its name in `fault-names.ts` and an entry in its family. On a
 * plain request a stream fault does its natural equivalent (cut after half of the body, a body that holds an error), or
 * nothing where there is none.
 */
import type { Family } from './fault-behaviour.ts';
import type { StormFaultKind } from './fault-names.ts';
import { BODIES } from './kinds/bodies.ts';
import { CHUNKS } from './kinds/chunks.ts';
import { CONNECTIONS } from './kinds/connections.ts';
import { CONTENTS } from './kinds/contents.ts';
import { ENCODINGS } from './kinds/encodings.ts';
import { ENDS } from './kinds/ends.ts';
import { FRAMINGS } from './kinds/framings.ts';
import { LETTERS } from './kinds/letters.ts';
import { REFUSALS, SHAPED_REFUSALS } from './kinds/refusals.ts';
import { SHAPED_EVENTS, STREAM_ERRORS } from './kinds/stream-errors.ts';
import { TOOLS } from './kinds/tools.ts';
import { WAITS } from './kinds/waits.ts';

/** The families, in the order in which they are shown. */
export const FAULT_FAMILIES = {
  'failures by status': { ...REFUSALS, ...SHAPED_REFUSALS },
  'rate limits and their hints': WAITS,
  'connections and writes': CONNECTIONS,
  'HTTP framing': FRAMINGS,
  'content codings': ENCODINGS,
  'errors inside an answer': { ...STREAM_ERRORS, ...SHAPED_EVENTS },
  'ends of streams': ENDS,
  'the letter of SSE and JSON': LETTERS,
  'odd chunks': CHUNKS,
  'tool calls': TOOLS,
  'what is said': CONTENTS,
  'bodies and their types': BODIES,
};

/** Every kind with what it does. */
export const FAULT_KINDS: Family<StormFaultKind> = {
  ...FAULT_FAMILIES['failures by status'],
  ...FAULT_FAMILIES['rate limits and their hints'],
  ...FAULT_FAMILIES['connections and writes'],
  ...FAULT_FAMILIES['HTTP framing'],
  ...FAULT_FAMILIES['content codings'],
  ...FAULT_FAMILIES['errors inside an answer'],
  ...FAULT_FAMILIES['ends of streams'],
  ...FAULT_FAMILIES['the letter of SSE and JSON'],
  ...FAULT_FAMILIES['odd chunks'],
  ...FAULT_FAMILIES['tool calls'],
  ...FAULT_FAMILIES['what is said'],
  ...FAULT_FAMILIES['bodies and their types'],
};
