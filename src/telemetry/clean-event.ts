import type { BreakwaterEvent } from '../core/events.ts';
import type { Redact } from './redact.ts';

/** Longest model name that is kept; a caller may send any where a route takes patterns. */
const modelLengthMax = 200;
/** Most blockers of one wait that are kept. */
const blockersMax = 50;

/** An event with its free text masked and its sizes bounded: what everything in telemetry works on. The event itself where nothing is amiss. */
export function cleanEvent(event: BreakwaterEvent, redact: Redact): BreakwaterEvent {
  switch (event.type) {
    case 'received':
    case 'finished':
      return event.model.length <= modelLengthMax ? event : { ...event, model: `${event.model.slice(0, modelLengthMax)}…` };
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
