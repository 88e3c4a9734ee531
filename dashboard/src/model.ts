/** The page's model of the gateway, and how a frame of the feed updates it. Bounded, however long the page is open. */
import type { FeedState, Frame, Notice, Point, RequestSummary } from './frames.ts';
import { POINTS_MAX, valueOf } from './points.ts';

const noticesMax = 100;
const requestsMax = 500;

export interface Model {
  /** Null until the first frame arrives. */
  readonly state: FeedState | null;
  /** Oldest first. */
  readonly points: readonly Point[];
  /** Newest first. */
  readonly notices: readonly Notice[];
  /** Finished requests, newest first. */
  readonly requests: readonly RequestSummary[];
  /** Requests that finished since the page was opened. */
  readonly finished: number;
}

export const emptyModel: Model = { state: null, points: [], notices: [], requests: [], finished: 0 };

export function applyFrame(model: Model, frame: Frame): Model {
  const { state, points, notices, requests } = frame.data;
  const before = frame.type === 'hello' && !frame.data.resumed ? { ...emptyModel, finished: model.finished } : model;
  const unshown = frame.type === 'tick' ? frame.data.unshownNotices : 0;
  const news = unshown === 0 ? notices : [...notices, unshownNotice(unshown, state.at)];
  return {
    state,
    points: joinPoints(before.points, points),
    notices: news.length === 0 ? before.notices : [...news.toReversed(), ...before.notices].slice(0, noticesMax),
    requests: joinRequests(before.requests, requests),
    finished: before.finished + (frame.type === 'tick' ? frame.data.finished : requests.length),
  };
}

function unshownNotice(count: number, at: number): Notice {
  return { at, tone: 'info', subject: null, text: `${count} further notices in the same second` };
}

function joinPoints(before: readonly Point[], after: readonly Point[]): readonly Point[] {
  if (after.length === 0) return before;
  const from = valueOf(after[0]!, 'at') ?? 0;
  return [...before.filter((point) => (valueOf(point, 'at') ?? 0) < from), ...after].slice(-POINTS_MAX);
}

function joinRequests(before: readonly RequestSummary[], after: readonly RequestSummary[]): readonly RequestSummary[] {
  if (after.length === 0) return before;
  const known = new Set(before.slice(0, 100).map(({ id }) => id));
  const added = after.filter(({ id }) => !known.has(id)).toReversed();
  return [...added, ...before].slice(0, requestsMax);
}
