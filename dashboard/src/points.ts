/** Columns of the chart points by name, in the order of the gateway (telemetry/feed-frames.ts); a test compares the two. */
import type { Point, PointColumn } from './frames.ts';

export const POINT_COLUMNS: readonly PointColumn[] = [
  'at',
  'received',
  'succeeded',
  'failed',
  'refused',
  'cancelled',
  'attempts',
  'firstContentP50',
  'firstContentP95',
  'durationP95',
  'costUsd',
  'rejected',
];
export const POINT_MS = 5_000;
export const POINTS_MAX = 720;

const indexOf = new Map(POINT_COLUMNS.map((name, index) => [name, index]));

export function valueOf(point: Point, name: PointColumn): number | null {
  return point[indexOf.get(name)!] ?? null;
}

export function sumOf(points: readonly Point[], name: PointColumn): number {
  return points.reduce((sum, point) => sum + (valueOf(point, name) ?? 0), 0);
}

/** The points of this period before the current interval, as the gateway counts them: in whole intervals. */
export function recentPoints(points: readonly Point[], at: number, periodMs: number): Point[] {
  const first = Math.floor(at / POINT_MS) - periodMs / POINT_MS;
  return points.filter((point) => Math.floor((valueOf(point, 'at') ?? 0) / POINT_MS) >= first);
}
