/** Derives from a model's name whether it matches a pattern, whether it is a reasoning model, and who makes or serves it. */
import { presets, type Preset, type PresetName } from './presets.ts';

/** Known reasoning models, which are silent before their response, by name without `owner/`. Assumed. */
const thinkingModels =
  'o1 o1-* o3 o3-* o4 o4-* gpt-5* gpt-oss-* codex-* computer-use-* deepseek-reasoner deepseek-r1* qwq* magistral* sonar-reasoning* ' +
  'sonar-deep-research *-thinking *-thinking-* *-reasoning *-reasoning-* *-reasoner grok-4 grok-4-0* gemini-2.5-pro* gemini-3*';
const thinkingPatterns = thinkingModels.split(' ');

/** Longer names are not looked up. */
export const modelNameCharsMax = 512;

/** Whether a name is valid. Control characters would end up in headers and logs. */
export function isModelName(name: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are matched on purpose
  return name !== '' && name.length <= modelNameCharsMax && !/[\x00-\x1f\x7f]/.test(name);
}

/** Whether a model is known to reason, at any provider; false for chat and non-reasoning variants. */
export function isReasoningModel(model: string): boolean {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase();
  if (name.includes('non-reasoning') || /^gpt-5.*-chat/.test(name)) return false;
  return thinkingPatterns.some((pattern) => matchesPattern(pattern, name));
}

/** Whether a name matches a pattern in which every `*` matches any text, including none. */
export function matchesPattern(pattern: string, name: string): boolean {
  const [head = '', ...parts] = pattern.split('*');
  const tail = parts.pop();
  if (tail === undefined) return name === pattern;
  if (!name.startsWith(head)) return false;
  let at = head.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - tail.length >= at && name.endsWith(tail);
}

/** Whether the preset's provider is the maker of the model. */
export function isOwner(preset: PresetName, model: string): boolean {
  return presets[preset].owns.some((pattern: string) => matchesPattern(pattern, model));
}

/** OpenRouter's names: `owner/model`, lower case, with an optional `:variant`. Assumed. */
const openrouterName = /^[a-z0-9][a-z0-9.-]*\/[a-z0-9][a-z0-9._-]*(:[a-z]+)?$/;

/** The name under which a preset is known to serve another maker's model; null: not known. */
export function servedAs(preset: PresetName, model: string): string | null {
  if (preset !== 'openrouter') return presets[preset].carries.some((pattern: string) => matchesPattern(pattern, model)) ? model : null;
  if (model.includes('/')) return openrouterName.test(model) ? model : null;
  const owner = Object.values<Preset>(presets).find(
    (candidate) => candidate.openrouterPrefix !== null && candidate.owns.some((pattern) => matchesPattern(pattern, model)),
  );
  return owner === undefined ? null : `${owner.openrouterPrefix}/${model}`;
}
