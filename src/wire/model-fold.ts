/** Converts between the events of a response and the complete response. */
import type { TokenUsage } from '../core/facts.ts';
import type { ModelEvent, ModelResponse, Opaque, PartHead, ResponseChoice, ResponsePart } from './model.ts';

interface OpenPart {
  readonly head: PartHead;
  readonly texts: string[];
  opaque: Opaque | null;
}

interface OpenChoice {
  readonly parts: Map<number, OpenPart>;
  finish: ResponseChoice['finish'];
}

export function foldEvents(events: Iterable<ModelEvent>): ModelResponse {
  let id: string | null = null;
  let model: string | null = null;
  let usage: TokenUsage | null = null;
  const choices = new Map<number, OpenChoice>();
  const choiceOf = (index: number): OpenChoice => {
    let choice = choices.get(index);
    if (choice === undefined) choices.set(index, (choice = { parts: new Map(), finish: null }));
    return choice;
  };
  for (const event of events) {
    if (event.type === 'start') ({ id, model } = event);
    else if (event.type === 'usage') ({ usage } = event);
    else if (event.type === 'part_start') choiceOf(event.choice).parts.set(event.part, { head: event.head, texts: [], opaque: null });
    else if (event.type === 'delta') choiceOf(event.choice).parts.get(event.part)?.texts.push(event.text);
    else if (event.type === 'part_end') {
      const part = choiceOf(event.choice).parts.get(event.part);
      if (part !== undefined) part.opaque = event.opaque;
    } else if (event.type === 'finish') {
      choiceOf(event.choice).finish = { reason: event.reason, raw: event.raw, stopSequence: event.stopSequence };
    }
  }
  const folded = [...choices].toSorted(([a], [b]) => a - b).map(([index, { parts, finish }]) => ({ index, parts: partsOf(parts), finish }));
  return { id, model, choices: folded, usage };
}

function partsOf(parts: ReadonlyMap<number, OpenPart>): ResponsePart[] {
  return [...parts.values()].map(({ head, texts, opaque }) => ({ head, text: texts.join(''), opaque }));
}

/** The events of the same response as a stream. */
export function* unfoldResponse(response: ModelResponse): Generator<ModelEvent> {
  yield { type: 'start', id: response.id, model: response.model };
  for (const { index, parts, finish } of response.choices) {
    for (const [part, { head, text, opaque }] of parts.entries()) {
      yield { type: 'part_start', choice: index, part, head };
      if (text !== '') yield { type: 'delta', choice: index, part, text };
      yield { type: 'part_end', choice: index, part, opaque };
    }
    yield { type: 'finish', choice: index, ...(finish ?? { reason: 'stop', raw: '', stopSequence: null }) };
  }
  if (response.usage !== null) yield { type: 'usage', usage: response.usage };
  yield { type: 'end' };
}
