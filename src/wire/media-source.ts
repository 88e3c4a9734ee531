import type { MediaSource } from './model.ts';

const DATA_URL = /^data:([^;,]*)((?:;[^,]*)?),/i;

/** A URL as a media source: `data:` URLs are decoded, all others stay as they are. */
export function sourceOfUrl(url: string): MediaSource {
  const match = DATA_URL.exec(url.slice(0, 200));
  if (match === null) return { kind: 'url', url, mime: null };
  const data = url.slice(match[0].length);
  const isBase64 = /;base64$/i.test(match[2] ?? '');
  const base64 = isBase64 ? data : Buffer.from(decoded(data)).toString('base64');
  return { kind: 'data', mime: match[1] || 'text/plain', base64 };
}

/** A media source as a URL; null: it is an upload, which has none. */
export function urlOfSource(source: MediaSource): string | null {
  if (source.kind === 'url') return source.url;
  return source.kind === 'data' ? `data:${source.mime};base64,${source.base64}` : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
