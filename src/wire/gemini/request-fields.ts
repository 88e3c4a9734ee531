/** What happens to each member of a generateContent request in conversion; see `openai-chat/request-fields.ts` for the values. */
import type { FieldHandling } from '../conversion-loss.ts';

/** Top-level members in camel case; the API accepts snake case as well. */
export const GEMINI_FIELDS: Readonly<Record<string, FieldHandling>> = {
  model: 'model',
  contents: 'model',
  systemInstruction: 'model',
  tools: 'model',
  toolConfig: 'model',
  generationConfig: 'model',
  serviceTier: 'model',
  labels: 'ignore',
  store: 'ignore',
  // The context is stored at the provider.
  cachedContent: 'refuse',
  safetySettings: 'drop',
};

export const GENERATION_FIELDS: Readonly<Record<string, FieldHandling>> = {
  temperature: 'model',
  topP: 'model',
  topK: 'model',
  candidateCount: 'model',
  maxOutputTokens: 'model',
  stopSequences: 'model',
  responseMimeType: 'model',
  responseSchema: 'model',
  responseJsonSchema: 'model',
  seed: 'model',
  presencePenalty: 'model',
  frequencyPenalty: 'model',
  thinkingConfig: 'model',
  responseModalities: 'model',
  // The response would lack what was requested.
  speechConfig: 'refuse',
  imageConfig: 'refuse',
  responseLogprobs: 'drop',
  logprobs: 'drop',
  mediaResolution: 'drop',
  enableEnhancedCivicAnswers: 'drop',
  audioTimestamp: 'drop',
};
