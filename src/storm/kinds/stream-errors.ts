/** Errors inside an answer whose status says that all is well. */
import { appended, breakIndex, closedBy, closingIndex, contentIndex, failedAt, say, terminators } from '../answer-edits.ts';
import { toBodyAnswer } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { Failure } from '../dialect.ts';
import type { ErrorShape } from '../failure-words.ts';
import { patternOf, readEvent, toEvent, withBody } from '../event-edits.ts';
import { SSE } from '../framings.ts';
import type { Family, FaultBehaviour, Scene } from '../fault-behaviour.ts';
import { PRODUCTS } from '../fault-names.ts';
import type { ShapedEventKind, StreamErrorKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

type Place = (typeof PRODUCTS.EVENT_PLACES)[number];

const PLACES: Record<
  Place,
  { about: string; harm: FaultBehaviour['harm']; arg?: 'afterTokens'; at: (answer: Answer, fault: StormFault) => number }
> = {
  first: { about: 'status 200, and an error is all that it holds', harm: 'before', at: (answer) => headEnd(answer) },
  preamble: { about: 'an error event after the role delta', harm: 'before', at: contentIndex },
  content: { about: 'an error event after ARG content events', harm: 'after', arg: 'afterTokens', at: breakIndex },
  finish: { about: 'an error event after finish_reason', harm: 'after', at: (answer) => closingIndex(answer) + 1 },
};

const SHAPES: Record<(typeof PRODUCTS.EVENT_SHAPES)[number], string> = {
  string: 'the error is a string',
  flat: 'the error is flat at the top',
  array: 'the error is in an array',
  double: 'its message is the JSON of another error',
  event: 'named `event: error`',
};

function headEnd(answer: Answer): number {
  return answer.steps.findIndex((step) => step.do === 'head') + 1;
}

function toFailure(fault: StormFault, model: string, shape: ErrorShape | undefined): Failure {
  const failure: Failure = { reason: fault.reason ?? 'server', model };
  if (fault.message !== undefined) failure.message = fault.message;
  if (fault.status !== undefined) failure.status = fault.status;
  const written = fault.shape ?? shape;
  if (written !== undefined) failure.shape = written;
  return failure;
}

/** Ends a stream with an error event; a plain answer is the error, with status 200. */
function withError(answer: Answer, fault: StormFault, { dialect, model }: Scene, at: number, shape?: ErrorShape): Answer {
  const failure = toFailure(fault, model, shape);
  if (!answer.streamed) return plainError(failure, { dialect, model });
  return failedAt(answer, unwaited(answer, at), dialect, failure);
}

/** Before the waits that stand before an index. */
function unwaited(answer: Answer, at: number): number {
  return answer.steps.slice(0, at).findLastIndex((step) => step.do !== 'wait') + 1;
}

/** Ends a stream with the dialect's own event for a failed generation, or with an error event where it has none. */
function withFailed(answer: Answer, fault: StormFault, scene: Scene): Answer {
  const { dialect, model } = scene;
  const failure = toFailure(fault, model, undefined);
  const first = answer.steps.map(readEvent).find((event) => event !== undefined);
  const { failedEvent, failedBody } = dialect;
  if (!answer.streamed && failedBody !== undefined) return withBody(answer, (body) => failedBody(failure, body));
  if (failedEvent === undefined || first === undefined) return withError(answer, fault, scene, breakIndex(answer, fault));
  return closedBy(answer, unwaited(answer, breakIndex(answer, fault)), (sent) => failedEvent(failure, sent, first));
}

function plainError(failure: Failure, { dialect }: Pick<Scene, 'dialect' | 'model'>): Answer {
  const { contentType, body, headers } = dialect.failure(failure);
  const made = toBodyAnswer(200, contentType, body);
  Object.assign(made.headers, headers);
  return made;
}

function placed(place: Place, shape?: ErrorShape): FaultBehaviour {
  const { about, harm, arg, at } = PLACES[place];
  const behaviour: FaultBehaviour = {
    about: shape === undefined ? about : `${about}; ${SHAPES[shape as keyof typeof SHAPES]}`,
    on: 'both',
    harm,
    answer: (answer, fault, scene) => withError(answer, fault, scene, at(answer, fault), shape),
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
    about: 'the event with which a dialect says that generation failed (response.failed), after ARG content events; else an error event',
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer: withFailed,
  },
  'error-before': {
    about: 'a comment and an error event before the preamble',
    on: 'both',
    harm: 'before',
    answer(answer, fault, scene) {
      const broken = withError(answer, fault, scene, headEnd(answer));
      return broken.streamed && broken.framing?.name === 'sse'
        ? { ...broken, steps: broken.steps.toSpliced(-1, 0, say(': connected\n\n', 'preamble')) }
        : broken;
    },
  },
  'error-choice': {
    about: 'an error beside choices whose finish_reason is "error", after ARG content events, as OpenRouter sends it; then [DONE]',
    on: 'both',
    harm: 'after',
    only: 'openai-chat',
    arg: 'afterTokens',
    answer(answer, fault, scene) {
      const failure = toFailure(fault, scene.model, 'numeric');
      if (!answer.streamed) return plainError(failure, scene);
      const event = {
        ...patternOf(answer),
        error: {
          code: fault.status ?? 502,
          message: fault.message ?? 'Provider disconnected',
          metadata: { provider_name: 'Storm', error_type: 'provider_unavailable' },
        },
        choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error', native_finish_reason: 'error' }],
      };
      return {
        ...answer,
        steps: [...answer.steps.slice(0, breakIndex(answer, fault)), say(toEvent(event), 'finish'), say('data: [DONE]\n\n', 'done')],
      };
    },
  },
  'error-done': {
    about: 'an error event after ARG content events, then [DONE], as vLLM sends it',
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer: (answer, fault, scene) => appended(withError(answer, fault, scene, breakIndex(answer, fault)), ...terminators(answer)),
  },
  'error-after-done': {
    about: 'an error event after [DONE], which ended the stream',
    on: 'stream',
    harm: 'none',
    elsewhere: { gemini: 'after' },
    only: 'sse',
    answer(answer, fault, { dialect, model }) {
      const sent = answer.steps.filter((step) => step.do === 'send').length;
      return appended(answer, say(SSE.frame(dialect.failureEvent(toFailure(fault, model, undefined), sent), sent), 'done'));
    },
  },
};

export const SHAPED_EVENTS = Object.fromEntries(
  PRODUCTS.EVENT_PLACES.flatMap((place) => PRODUCTS.EVENT_SHAPES.map((shape) => [`error-${place}-${shape}`, placed(place, shape)])),
) as Family<ShapedEventKind>;
