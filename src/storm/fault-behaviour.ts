/** Definition of a fault kind: the four hooks in which it can act, and its effect on the caller. */
import type { ResponseScript } from './response-script.ts';
import type { Choice } from './content.ts';
import type { Dialect, DialectName, Failure } from './dialect.ts';
import type { FramingName } from './framings.ts';
import type { StormFault } from './options.ts';

/** Context in which a fault acts. */
export interface FaultContext {
  dialect: Dialect;
  model: string;
  call: number;
  epochMs: number;
  /** Whether the request asked for a stream. */
  stream: boolean;
  fields: Readonly<Record<string, unknown>>;
}

/**
 * What remains of the response with default settings. `none`: everything, in an unusual form; a compliant client loses
 * nothing. `degraded`: it ends properly but is not what was requested. `before`: it fails before any content. `after`:
 * a stream fails after some content, a non-streaming response fails. `ambiguous`: all content arrives, and clients
 * differ on whether the end is valid.
 */
export type Harm = 'none' | 'degraded' | 'before' | 'after' | 'ambiguous';

export interface FaultBehaviour {
  /** Description for the documentation. */
  about: string;
  /** The requests it affects; others get a normal response. */
  on: 'both' | 'stream' | 'non-streaming';
  /** Harm in OpenAI chat. */
  harm: Harm;
  /** Harm in other dialects or framings, where it differs; a framing takes precedence over a dialect. */
  elsewhere?: Partial<Readonly<Record<DialectName | FramingName, Harm>>>;
  /** Never ends by itself, unless `ms` is given and the kind supports it: the call ends only when the caller disconnects. */
  endless?: true;
  /** The setting that ARG in `fault-KIND-ARG` sets. */
  arg?: keyof StormFault;
  /** Fails the request. */
  refuse?(fault: StormFault, context: FaultContext): Failure | undefined;
  /** Changes the generated content. */
  content?(choice: Choice, fault: StormFault, context: FaultContext): Choice;
  /** Responds in this form, whichever was requested. */
  form?: 'non-streaming' | 'stream';
  /** Responses whose script it can edit: those of one dialect, or all except streams that are not server-sent events. Default: all. */
  only?: DialectName | 'sse';
  /** Edits the response script. */
  edit?(script: ResponseScript, fault: StormFault, context: FaultContext): ResponseScript;
}

/** Applies a fault to a response script, unless the fault does not apply to it. */
export function applyFault(behaviour: FaultBehaviour, script: ResponseScript, fault: StormFault, context: FaultContext): ResponseScript {
  const { only } = behaviour;
  if (only === 'sse' && script.framing !== undefined && script.framing.name !== 'sse') return script;
  if (only !== undefined && only !== 'sse' && only !== context.dialect.name) return script;
  return behaviour.edit?.(script, fault, context) ?? script;
}

/** A family of fault kinds: a behaviour for each name. */
export type Family<Name extends string> = Readonly<Record<Name, FaultBehaviour>>;
