/** `:generateContent`, `:streamGenerateContent` and `:countTokens`. */
import { isRecord } from '../../core/json.ts';
import type { Prompt } from '../content.ts';
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { JSON_ARRAY, SSE_CRLF } from '../framings.ts';
import { asText, countInput, lookup, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import type { Seals } from '../seals.ts';
import { faultInSignatures, lastUserText, readContents, textOf } from './contents.ts';
import type { Content } from './contents.ts';
import { camelFields, listField, objectField, unknownField } from './fields.ts';
import { declarationsOf, faultInTools } from './tools.ts';
import { contentBody, streamContent } from './write.ts';
import type { CandidateParts } from './write.ts';

export interface GeminiParts {
  readonly seals: Seals;
  readonly keyOf: (received: Received) => string;
}

const CANDIDATES_MAX = 8;

/** Models that always think and require their signatures back. */
const THINKS_UNASKED = /^gemini-(?:[3-9]|\d\d)/;

/** Parses a generateContent request; the path determines `stream`. */
export function readGenerate(received: Received, stream: boolean, { seals, keyOf }: GeminiParts): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const fields = camelFields(read.fields);
  const model = received.model ?? '';
  const contents = unknownField(fields) ?? faultInTools(fields) ?? readContents(fields);
  if ('reason' in contents) return contents;
  const config = objectField(fields, 'generationConfig');
  const thinking = objectField(config, 'thinkingConfig');
  const thinks = config['thinkingConfig'] === undefined ? THINKS_UNASKED.test(model) : thinking['thinkingBudget'] !== 0;
  const owner = { key: keyOf(received), model };
  const fault = faultInSignatures(contents, thinks, seals, owner);
  if (fault !== undefined) return fault;
  const calling = objectField(objectField(fields, 'toolConfig'), 'functionCallingConfig');
  const streamsArguments = calling['streamFunctionCallArguments'] === true;
  const parts: CandidateParts = { seals, owner, signs: thinks, showsThoughts: thinking['includeThoughts'] === true, streamsArguments };
  return {
    model,
    stream,
    inputTokens: countInput(received, fields),
    outputLimit: wholeNumber(config['maxOutputTokens']),
    prompt: toPrompt(fields, config, contents, thinks),
    fields: { ...config, ...fields },
    framing: stream && new URLSearchParams(received.query).get('alt') !== 'sse' ? JSON_ARRAY : SSE_CRLF,
    body: (choices, facts) => contentBody(parts, choices, facts),
    events: (choices, facts) => streamContent(parts, choices, facts),
  };
}

/** Parses a token-count request, which may wrap the request to count. */
export function readCountTokens(received: Received): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const fields = camelFields(read.fields);
  const inner = objectField(fields, 'generateContentRequest');
  const contents = readContents(isRecord(fields['generateContentRequest']) ? inner : fields);
  if ('reason' in contents) return contents;
  const totalTokens = countInput(received, fields);
  return lookup({ totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] }, received.model);
}

function toPrompt(fields: Fields, config: Fields, contents: readonly Content[], thinks: boolean): Prompt {
  const choices = Math.min(CANDIDATES_MAX, Math.max(1, wholeNumber(config['candidateCount']) ?? 1));
  const prompt: Prompt = { text: lastUserText(contents), choices, reasons: thinks };
  const schema = config['responseJsonSchema'] ?? config['_responseJsonSchema'] ?? config['responseSchema'];
  if (config['responseMimeType'] === 'application/json') prompt.json = { schema };
  prompt.offered = declarationsOf(fields).map(({ declaration }) => asText(declaration['name']));
  const last = contents.at(-1);
  if (last?.role === 'model' && last.parts.every(({ text }) => typeof text === 'string')) prompt.partial = textOf(last);
  prompt.isAfterResult = contents.at(-1)?.parts.some(({ functionResponse }) => functionResponse !== undefined) === true;
  const tool = calledTool(fields);
  if (tool !== undefined) prompt.tool = tool;
  return prompt;
}

/** With mode ANY, the first allowed function is called. */
function calledTool(fields: Fields): { name: string; parameters: unknown } | undefined {
  const calling = objectField(objectField(fields, 'toolConfig'), 'functionCallingConfig');
  if (calling['mode'] !== 'ANY') return undefined;
  const allowed = listField(calling, 'allowedFunctionNames');
  const declared = declarationsOf(fields).map(({ declaration }) => declaration);
  const found = declared.find(({ name }) => allowed.length === 0 || allowed.includes(name));
  if (found === undefined) return undefined;
  return { name: asText(found['name']), parameters: found['parametersJsonSchema'] ?? found['parameters'] };
}
