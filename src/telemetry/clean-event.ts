import type { BreakwaterEvent } from '../core/events.ts';
import { SecretMask } from '../core/secrets/secret-mask.ts';
import type { Redact } from './redact.ts';

/** Maximum length of a model name; routes with patterns accept any. */
const modelLengthMax = 200;
/** Maximum length of a path. */
const pathLengthMax = 200;
/** Maximum number of blockers of one wait. */
const blockersMax = 50;

/** Maximum number of model names with a cached masked form. */
const rememberedMax = 200;

/** Masks and truncates a model name: callers sometimes send a key in its place. */
export function createModelCleaner(secrets: readonly string[]): Redact {
  const mask = new SecretMask(secrets);
  const known = new Map<string, string>();
  return (model) => {
    const before = known.get(model);
    if (before !== undefined) return before;
    const masked = mask.text(model.slice(0, modelLengthMax + 1));
    const cleaned = masked.length <= modelLengthMax ? masked : `${masked.slice(0, modelLengthMax)}…`;
    if (known.size >= rememberedMax) known.clear();
    if (model.length <= modelLengthMax) known.set(model, cleaned);
    return cleaned;
  };
}

/** An event with its free text masked and its sizes bounded, for all of telemetry. The same object if nothing changes. */
export function cleanEvent(event: BreakwaterEvent, redact: Redact, cleanModel: Redact): BreakwaterEvent {
  switch (event.type) {
    case 'received':
      return withCleanModel(event, cleanModel);
    case 'finished': {
      const cleaned = withCleanModel(event, cleanModel);
      return cleaned.message === undefined ? cleaned : { ...cleaned, message: redact(cleaned.message) };
    }
    case 'rejected':
      return {
        ...event,
        message: redact(event.message),
        path: redact(event.path.slice(0, pathLengthMax)),
        model: event.model === null ? null : cleanModel(event.model),
      };
    case 'queued':
      return event.blockers.length <= blockersMax ? event : { ...event, blockers: event.blockers.slice(0, blockersMax) };
    case 'attempt_end':
      return event.message === null ? event : { ...event, message: redact(event.message) };
    case 'cooldown':
      return event.why === undefined ? event : { ...event, why: redact(event.why) };
    case 'note':
      return { ...event, note: redact(event.note) };
    case 'warning':
      return { ...event, message: redact(event.message), ...(event.detail !== undefined && { detail: redact(event.detail) }) };
    case 'lifecycle':
      return event.detail === undefined ? event : { ...event, detail: redact(event.detail) };
    default:
      return event;
  }
}

function withCleanModel<E extends { readonly model: string }>(event: E, cleanModel: Redact): E {
  const model = cleanModel(event.model);
  return model === event.model ? event : { ...event, model };
}
