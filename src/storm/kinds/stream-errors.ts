/** Errors inside a response with status 200. */
import { append, breakIndex, endWithEvent, closingIndex, contentIndex, endWithError, sendStep, terminators } from '../script-edits.ts';
import { toBodyScript } from '../response-script.ts';
import type { ResponseScript } from '../response-script.ts';
import type { Failure } from '../dialect.ts';
import type { ErrorShape } from '../failure-reasons.ts';
import { patternOf, readEvent, toEvent, withBody } from '../event-edits.ts';
import { SSE } from '../framings.ts';
import type { Family, FaultBehaviour, FaultContext } from '../fault-behaviour.ts';
import { NAME_FACTORS } from '../fault-names.ts';
import type { ShapedEventKind, StreamErrorKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

type Place = (typeof NAME_FACTORS.EVENT_PLACES)[number];

const PLACES: Record<
  Place,
  { about: string; harm: FaultBehaviour['harm']; arg?: 'afterTokens'; at: (script: ResponseScript, fault: StormFault) => number }
> = {
  first: { about: 'status 200 with only an error', harm: 'before', at: (script) => headEnd(script) },
  preamble: { about: 'an error event after the role delta', harm: 'before', at: contentIndex },
  content: { about: 'an error event after ARG content events', harm: 'after', arg: 'afterTokens', at: breakIndex },
  finish: { about: 'an error event after finish_reason', harm: 'after', at: (script) => closingIndex(script) + 1 },
};

const SHAPES: Record<(typeof NAME_FACTORS.EVENT_SHAPES)[number], string> = {
  string: 'the error is a string',
  flat: 'the error is flat at the top',
  array: 'the error is in an array',
  double: 'its message is the JSON of another error',
  event: 'named `event: error`',
};

function headEnd(script: ResponseScript): number {
  return script.steps.findIndex((step) => step.do === 'head') + 1;
}

function toFailure(fault: StormFault, model: string, shape: ErrorShape | undefined): Failure {
  const failure: Failure = { reason: fault.reason ?? 'server', model };
  if (fault.message !== undefined) failure.message = fault.message;
  if (fault.status !== undefined) failure.status = fault.status;
  const written = fault.shape ?? shape;
  if (written !== undefined) failure.shape = written;
  return failure;
}

/** Ends a stream with an error event; a non-streaming response becomes the error, with status 200. */
function withError(
  script: ResponseScript,
  fault: StormFault,
  { dialect, model }: FaultContext,
  at: number,
  shape?: ErrorShape,
): ResponseScript {
  const failure = toFailure(fault, model, shape);
  if (!script.streamed) return errorBody(failure, { dialect, model });
  return endWithError(script, unwaited(script, at), dialect, failure);
}

/** The index before any waits that precede `at`. */
function unwaited(script: ResponseScript, at: number): number {
  return script.steps.slice(0, at).findLastIndex((step) => step.do !== 'wait') + 1;
}

/** Ends a stream with the dialect's event for a failed generation, or with an error event if it has none. */
function withFailed(script: ResponseScript, fault: StormFault, context: FaultContext): ResponseScript {
  const { dialect, model } = context;
  const failure = toFailure(fault, model, undefined);
  const first = script.steps.map(readEvent).find((event) => event !== undefined);
  const { failedEvent, failedBody } = dialect;
  if (!script.streamed && failedBody !== undefined) return withBody(script, (body) => failedBody(failure, body));
  if (failedEvent === undefined || first === undefined) return withError(script, fault, context, breakIndex(script, fault));
  return endWithEvent(script, unwaited(script, breakIndex(script, fault)), (sent) => failedEvent(failure, sent, first));
}

function errorBody(failure: Failure, { dialect }: Pick<FaultContext, 'dialect' | 'model'>): ResponseScript {
  const { contentType, body, headers } = dialect.failure(failure);
  const made = toBodyScript(200, contentType, body);
  Object.assign(made.headers, headers);
  return made;
}

function placed(place: Place, shape?: ErrorShape): FaultBehaviour {
  const { about, harm, arg, at } = PLACES[place];
  const behaviour: FaultBehaviour = {
    about: shape === undefined ? about : `${about}; ${SHAPES[shape as keyof typeof SHAPES]}`,
    on: 'both',
    harm,
    edit: (script, fault, context) => withError(script, fault, context, at(script, fault), shape),
  };
  if (arg !== undefined) behaviour.arg = arg;
  return behaviour;
}

export const STREAM_ERRORS: Family<StreamErrorKind> = {
  'error-first': placed('first'),
  'error-preamble': placed('preamble'),
  'error-content': placed('content'),
  'error-finish': { ...placed('finish'), on: 'stream' },
  'error-failed': {
    about: "the dialect's event for a failed generation (response.failed), after ARG content events; else an error event",
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit: withFailed,
  },
  'error-before': {
    about: 'a comment and an error event before the preamble',
    on: 'both',
    harm: 'before',
    edit(script, fault, context) {
      const broken = withError(script, fault, context, headEnd(script));
      return broken.streamed && broken.framing?.name === 'sse'
        ? { ...broken, steps: broken.steps.toSpliced(-1, 0, sendStep(': connected\n\n', 'preamble')) }
        : broken;
    },
  },
  'error-choice': {
    about: 'an error beside choices with finish_reason "error", after ARG content events, as OpenRouter sends it; then [DONE]',
    on: 'both',
    harm: 'after',
    only: 'openai-chat',
    arg: 'afterTokens',
    edit(script, fault, context) {
      const failure = toFailure(fault, context.model, 'numeric');
      if (!script.streamed) return errorBody(failure, context);
      const event = {
        ...patternOf(script),
        error: {
          code: fault.status ?? 502,
          message: fault.message ?? 'Provider disconnected',
          metadata: { provider_name: 'Storm', error_type: 'provider_unavailable' },
        },
        choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error', native_finish_reason: 'error' }],
      };
      return {
        ...script,
        steps: [
          ...script.steps.slice(0, breakIndex(script, fault)),
          sendStep(toEvent(event), 'finish'),
          sendStep('data: [DONE]\n\n', 'done'),
        ],
      };
    },
  },
  'error-done': {
    about: 'an error event after ARG content events, then [DONE], as vLLM sends it',
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit: (script, fault, context) => append(withError(script, fault, context, breakIndex(script, fault)), ...terminators(script)),
  },
  'error-after-done': {
    about: 'an error event after [DONE], which had ended the stream',
    on: 'stream',
    harm: 'none',
    elsewhere: { gemini: 'after' },
    only: 'sse',
    edit(script, fault, { dialect, model }) {
      const sent = script.steps.filter((step) => step.do === 'send').length;
      return append(script, sendStep(SSE.frame(dialect.failureEvent(toFailure(fault, model, undefined), sent), sent), 'done'));
    },
  },
};

export const SHAPED_EVENTS = Object.fromEntries(
  NAME_FACTORS.EVENT_PLACES.flatMap((place) => NAME_FACTORS.EVENT_SHAPES.map((shape) => [`error-${place}-${shape}`, placed(place, shape)])),
) as Family<ShapedEventKind>;
