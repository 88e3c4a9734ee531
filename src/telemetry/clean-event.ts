import type { BreakwaterEvent } from '../core/events.ts';
import { SecretMask } from '../core/secrets/secret-mask.ts';
import type { Redact } from './redact.ts';

/** Maximum length of the name of a model or target; routes with patterns accept any. */
const nameLengthMax = 200;
/** Maximum length of a path. */
const pathLengthMax = 200;
/** Maximum number of blockers of one wait. */
const blockersMax = 50;

/** Maximum number of names with a cached masked form. */
const rememberedMax = 1_000;

/** Masks and truncates the name of a model or target: callers sometimes send a key in place of a model, and a route with a pattern passes it on. */
export function createNameCleaner(secrets: readonly string[]): Redact {
  const mask = new SecretMask(secrets);
  const known = new Map<string, string>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const masked = mask.text(name.slice(0, nameLengthMax + 1));
    const cleaned = masked.length <= nameLengthMax ? masked : `${masked.slice(0, nameLengthMax)}…`;
    if (known.size >= rememberedMax) known.clear();
    if (name.length <= nameLengthMax) known.set(name, cleaned);
    return cleaned;
  };
}

/** An event with its names and free text masked and its sizes bounded, for all of telemetry. The same object if nothing changes. */
export function cleanEvent(event: BreakwaterEvent, redact: Redact, cleanName: Redact): BreakwaterEvent {
  const cleaned = withCleanNames(event, cleanName);
  switch (cleaned.type) {
    case 'finished': {
      const calls = cleaned.calls === undefined ? undefined : cleanEach(cleaned.calls, cleanName);
      const listed = calls === undefined || calls === cleaned.calls ? cleaned : { ...cleaned, calls };
      return listed.message === undefined ? listed : { ...listed, message: redact(listed.message) };
    }
    case 'rejected':
      return { ...cleaned, message: redact(cleaned.message), path: redact(cleaned.path.slice(0, pathLengthMax)) };
    case 'queued': {
      const blockers = cleanEach(cleaned.blockers.slice(0, blockersMax), cleanName);
      return { ...cleaned, blockers };
    }
    case 'attempt_end':
      return cleaned.message === null ? cleaned : { ...cleaned, message: redact(cleaned.message) };
    case 'cooldown':
      return cleaned.why === undefined ? cleaned : { ...cleaned, why: redact(cleaned.why) };
    case 'note':
      return { ...cleaned, note: redact(cleaned.note) };
    case 'warning':
      return { ...cleaned, message: redact(cleaned.message), ...(cleaned.detail !== undefined && { detail: redact(cleaned.detail) }) };
    case 'lifecycle':
      return cleaned.detail === undefined ? cleaned : { ...cleaned, detail: redact(cleaned.detail) };
    default:
      return cleaned;
  }
}

/** The fields that may have a name chosen by a caller, whatever the event. */
interface Names {
  readonly model?: string | null;
  readonly target?: string | null;
  readonly subject?: string | null;
}

/** The same list if nothing changes. */
function cleanEach<T extends object>(list: readonly T[], cleanName: Redact): readonly T[] {
  for (const item of list) if (withCleanNames(item, cleanName) !== item) return list.map((each) => withCleanNames(each, cleanName));
  return list;
}

function withCleanNames<T extends object>(named: T, cleanName: Redact): T {
  const { model, target, subject }: Names = named;
  const cleanModel = typeof model === 'string' ? cleanName(model) : model;
  const cleanTarget = typeof target === 'string' ? cleanName(target) : target;
  const cleanSubject = typeof subject === 'string' ? cleanName(subject) : subject;
  if (cleanModel === model && cleanTarget === target && cleanSubject === subject) return named;
  return {
    ...named,
    ...(cleanModel !== model && { model: cleanModel }),
    ...(cleanTarget !== target && { target: cleanTarget }),
    ...(cleanSubject !== subject && { subject: cleanSubject }),
  };
}
