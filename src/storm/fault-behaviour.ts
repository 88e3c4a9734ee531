/** What a kind of fault is made of: the four places where it may act, and what it means for whoever asked. */
import type { Answer } from './answer.ts';
import type { Choice } from './content.ts';
import type { Dialect, DialectName, Failure } from './dialect.ts';
import type { FramingName } from './framings.ts';
import type { StormFault } from './options.ts';

/** What a fault may look at. */
export interface Scene {
  dialect: Dialect;
  model: string;
  call: number;
  epochMs: number;
  /** Whether a stream was asked for. */
  stream: boolean;
  fields: Readonly<Record<string, unknown>>;
}

/**
 * What is left of the answer, by default settings. `none`: all of it, in an odd form; a careful reader loses nothing.
 * `poor`: it ends properly, and is not what was asked for. `before`: it fails before any content. `after`: a stream
 * fails after some content; a plain answer fails. `doubt`: all content comes, and an end that readers judge differently.
 */
export type Harm = 'none' | 'poor' | 'before' | 'after' | 'doubt';

export interface FaultBehaviour {
  /** For the documentation. */
  about: string;
  /** The requests that it touches; any other is answered as if there were no fault. */
  on: 'both' | 'stream' | 'plain';
  /** In a chat answer. */
  harm: Harm;
  /** In answers of other dialects or framings, where it is another; a framing goes before a dialect. */
  elsewhere?: Partial<Readonly<Record<DialectName | FramingName, Harm>>>;
  /** Never ends by itself, unless `ms` is given where the kind takes it: only the caller's leaving ends the call. */
  endless?: true;
  /** What ARG in `fault-KIND-ARG` sets. */
  arg?: keyof StormFault;
  /** Answers with a failure. */
  refuse?(fault: StormFault, scene: Scene): Failure | undefined;
  /** Changes what is said. */
  content?(choice: Choice, fault: StormFault, scene: Scene): Choice;
  /** Answers in the other form than was asked. */
  form?: 'plain' | 'stream';
  /** Answers whose program it can change: those of one dialect, or all but streams that are no server-sent events. Default: all. */
  only?: DialectName | 'sse';
  /** Changes the answer's program. */
  answer?(answer: Answer, fault: StormFault, scene: Scene): Answer;
}

/** What is left of an answer of a dialect, in the framing of its stream. A fault that has no meaning there leaves all of it. */
export function harmIn(behaviour: FaultBehaviour, dialect: DialectName, framing: FramingName = 'sse'): Harm {
  const { harm, elsewhere, only, form } = behaviour;
  const acts = only === undefined || only === dialect || (only === 'sse' && framing === 'sse');
  if (!acts && !('content' in behaviour) && !('refuse' in behaviour) && form === undefined) return 'none';
  return elsewhere?.[framing] ?? elsewhere?.[dialect] ?? harm;
}

/** An answer as a fault changes its program, or as it is where the fault has no meaning for it. */
export function struckBy(behaviour: FaultBehaviour, answer: Answer, fault: StormFault, scene: Scene): Answer {
  const { only } = behaviour;
  if (only === 'sse' && answer.framing !== undefined && answer.framing.name !== 'sse') return answer;
  if (only !== undefined && only !== 'sse' && only !== scene.dialect.name) return answer;
  return behaviour.answer?.(answer, fault, scene) ?? answer;
}

/** A family of faults: an entry for each of its names. */
export type Family<Name extends string> = Readonly<Record<Name, FaultBehaviour>>;
