/** Gemini's generateContent in the simulation. */
import { isRecord } from '../../core/json.ts';
import { promptText } from '../prompt-text.ts';
import { dataEvent, errorIn, numberOf, records, textOf, type Fields, type ResponseParts, type SimulatedDialect } from './dialect.ts';

const AROUND_PROMPT = '[{"role":"user","parts":[{"text":""}]}]'.length;
const PATH = /\/models\/(?<model>.+):(?<method>\w+)/;

const STATUSES: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
};

export const gemini: SimulatedDialect = {
  path: ({ model, stream }) =>
    `/v1beta/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  body: ({ inputTokens, outputBound }, mark) =>
    JSON.stringify({
      contents: [{ role: 'user', parts: [{ text: promptText(inputTokens, AROUND_PROMPT, mark) }] }],
      ...(outputBound === null ? {} : { generationConfig: { maxOutputTokens: outputBound } }),
    }),
  readResponse: (values) => ({
    content: values
      .flatMap(partsIn)
      .map(({ text }) => textOf(text))
      .join(''),
    isWhole: values.some((value) => records(value['candidates']).some(({ finishReason }) => finishReason != null)),
    error: errorIn(values),
  }),
  readRequest: (body, path) => {
    const { model = '', method = '' } = PATH.exec(path)?.groups ?? {};
    const config = isRecord(body['generationConfig']) ? body['generationConfig'] : {};
    const parts = records(body['contents']).flatMap((content) => records(content['parts']));
    return {
      model: decodeURIComponent(model),
      stream: method === 'streamGenerateContent',
      includeUsage: true,
      user: '',
      texts: parts.map(({ text }) => textOf(text)),
      messages: records(body['contents']).length,
      images: parts.filter(({ inlineData }) => inlineData !== undefined).length,
      outputBound: numberOf(config['maxOutputTokens']),
      countsOutput: 'never',
    };
  },
  whole: (parts) => chunk(parts, parts.words.join(''), true),
  stream: {
    opening: () => '',
    word: (parts, at) => dataEvent(chunk(parts, parts.words[at]!, false)),
    ending: (parts) => dataEvent(chunk(parts, '', true)),
    error: (message) => dataEvent({ error: { code: 500, message, status: 'INTERNAL' } }),
  },
  error: (status, message, waitMs) => ({
    error: { code: status, message, status: STATUSES[status] ?? 'INTERNAL', ...(waitMs === null ? {} : { details: [retryInfo(waitMs)] }) },
  }),
};

function partsIn(value: Fields): readonly Fields[] {
  return records(value['candidates']).flatMap(({ content }) => (isRecord(content) ? records(content['parts']) : []));
}

function chunk({ model, usage, finish }: ResponseParts, text: string, isLast: boolean): object {
  const finishReason = finish === 'length' ? 'MAX_TOKENS' : 'STOP';
  const { prompt, cached, completion } = usage;
  const counts = {
    promptTokenCount: prompt,
    candidatesTokenCount: completion,
    totalTokenCount: prompt + completion,
    ...(cached === 0 ? {} : { cachedContentTokenCount: cached }),
  };
  return {
    candidates: [{ content: { parts: [{ text }], role: 'model' }, ...(isLast ? { finishReason } : {}), index: 0 }],
    ...(isLast ? { usageMetadata: counts } : {}),
    modelVersion: model,
    responseId: 'simulated',
  };
}

function retryInfo(waitMs: number): object {
  return { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${(waitMs / 1000).toFixed(3)}s` };
}
