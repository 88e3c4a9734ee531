/** Field names: Google's JSON accepts lowerCamelCase and snake_case, and rejects unknown names. */
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';

/** An object with its top-level field names in lowerCamelCase. */
export function camelFields(fields: Fields): Fields {
  if (!Object.keys(fields).some((name) => name.includes('_'))) return fields;
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]));
}

function camel(name: string): string {
  return name.replaceAll(/(?<=[a-z])_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** An object field, its names in lowerCamelCase; empty if it is not an object. */
export function objectField(fields: Fields, name: string): Fields {
  const value = fields[name];
  return isRecord(value) ? camelFields(value) : {};
}

/** A list field; empty if it is not a list. */
export function listField(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  return Array.isArray(value) ? value : [];
}

const REQUEST = [
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'safetySettings',
  'generationConfig',
  'cachedContent',
  'continuationToken',
  'serviceTier',
  'store',
  'labels',
];

const GENERATION = [
  '_responseJsonSchema',
  'audioTimestamp',
  'audioTranscriptionConfig',
  'candidateCount',
  'enableAffectiveDialog',
  'enableEnhancedCivicAnswers',
  'frequencyPenalty',
  'imageConfig',
  'logprobs',
  'maxOutputTokens',
  'mediaResolution',
  'modelSelectionConfig',
  'presencePenalty',
  'responseFormat',
  'responseJsonSchema',
  'responseLogprobs',
  'responseMimeType',
  'responseModalities',
  'responseSchema',
  'routingConfig',
  'seed',
  'speechConfig',
  'stopSequences',
  'temperature',
  'thinkingConfig',
  'topK',
  'topP',
  'translationConfig',
];

/** The error of the first field unknown to generateContent. `fields` have lowerCamelCase names. */
export function unknownField(fields: Fields): Failure | undefined {
  const top = Object.keys(fields).find((name) => !REQUEST.includes(name));
  if (top !== undefined) return unknownName(top);
  const inside = Object.keys(objectField(fields, 'generationConfig')).find((name) => !GENERATION.includes(name));
  return inside === undefined ? undefined : unknownName(inside, 'generation_config');
}

/** The error for an unknown field name at a position in the request. */
export function unknownName(name: string, place?: string): Failure {
  const description = `Invalid JSON payload received. Unknown name "${name}"${place === undefined ? '' : ` at '${place}'`}: Cannot find field.`;
  const violation = place === undefined ? { description } : { field: place, description };
  const details = [{ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [violation] }];
  return { reason: 'invalid', message: description, extra: { details } };
}
