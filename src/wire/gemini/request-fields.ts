/** What becomes of a generateContent request's members in another dialect; the words as in `openai-chat/request-fields.ts`. */
import type { FieldHandling } from '../conversion-loss.ts';

/** Top-level members, in camel case; the API takes snake case as well. */
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
  // The context lives at the provider.
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
  // The response would lack what was asked for.
  speechConfig: 'refuse',
  imageConfig: 'refuse',
  responseLogprobs: 'drop',
  logprobs: 'drop',
  mediaResolution: 'drop',
  enableEnhancedCivicAnswers: 'drop',
  audioTimestamp: 'drop',
};
