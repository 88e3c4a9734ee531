/** Matches request targets to routes. A path in its canonical form needs one lookup. */
import type { Place } from './call.ts';
import { fromAzure, parseTarget, withVersion } from './path.ts';
import type { Route } from './routes.ts';

/** A match: the routes of a path, for all methods; null: unknown path. */
export interface Match {
  readonly routes: readonly Route[] | null;
  readonly place: Place;
  /** The path as received, decoded and normalized. */
  readonly path: string;
}

export interface Router {
  /** Throws `invalid_request` for an invalid target. */
  match(target: string): Match;
}

interface Pattern {
  readonly start: string;
  readonly end: string;
  readonly routes: Route[];
}

export function createRouter(table: readonly Route[]): Router {
  const exact = new Map<string, Match>();
  const patterns: Pattern[] = [];
  for (const [path, routes] of byPath(table)) {
    const star = path.indexOf('*');
    if (star >= 0) patterns.push({ start: path.slice(0, star), end: path.slice(star + 1), routes });
    else for (const spelling of spellings(path)) exact.set(spelling, { routes, place: { path, query: '', rest: '' }, path: spelling });
  }

  function find(path: string, query: string): Match | null {
    const found = exact.get(path);
    if (found !== undefined) return { ...found, place: { ...found.place, query } };
    for (const { start, end, routes } of patterns) {
      if (path.length <= start.length + end.length || !path.startsWith(start) || !path.endsWith(end)) continue;
      return { routes, place: { path, query, rest: path.slice(start.length, path.length - end.length) }, path };
    }
    return null;
  }

  return {
    match(target) {
      const direct = exact.get(target);
      if (direct !== undefined) return direct;
      const parsed = parseTarget(target);
      const { path, query, deployment } = fromAzure(parsed);
      const versioned = withVersion(path);
      const found = find(path, query) ?? find(versioned, query);
      if (found === null) return { routes: null, place: { path: versioned, query, rest: '' }, path: parsed.path };
      return deployment === undefined ? found : { ...found, place: { ...found.place, deployment } };
    },
  };
}

function byPath(table: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>();
  for (const route of table) paths.set(route.path, [...(paths.get(route.path) ?? []), route]);
  return paths;
}

function spellings(path: string): string[] {
  return path.startsWith('/v1/') ? [path, path.slice('/v1'.length), `/v1${path}`] : [path];
}
