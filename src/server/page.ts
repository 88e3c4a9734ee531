/**
 * The dashboard's files, built into one folder by `npm run build`. The page contains no data: it calls the admin API, with the admin key if
 * one is set, so that the files themselves need no key.
 */
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { BreakwaterError } from '../core/errors.ts';
import type { Call } from './call.ts';

/** Next to the published code, or in a checkout the output of `npm run build`. */
const folders = ['../dashboard/', '../../dist/dashboard/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
const indexName = 'index.html';
/** The same page where the admin key is required: it asks for the key before its first request. Not a file. */
const keyedIndexName = 'index.html?key';
/** File names of the build; other files are not served. */
const fileName = /^[\w-]+(?:\.[\w-]+)*\.(?:html|js|css|svg)$/;
const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Only own scripts and styles: no frames, forms, plug-ins or external content. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const securityHeaders: readonly string[] = Object.entries({
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  vary: 'Accept, Accept-Encoding',
}).flat();

interface PageFile {
  readonly contentType: string;
  readonly plain: Uint8Array;
  readonly br: Uint8Array;
  readonly gzip: Uint8Array;
}

type Page = ReadonlyMap<string, PageFile>;

let loaded: Promise<Page | null> | null = null;

export async function showPage(call: Call): Promise<void> {
  const page = await loadOnce();
  const file = page?.get(call.app.gateway.config.server.adminKey === '' ? indexName : keyedIndexName);
  if (file === undefined)
    throw new BreakwaterError('not_found', 'the dashboard is not built: run npm run build. The admin API is available under /admin/');
  // The names of all other files change with their content; this one must be revalidated each time.
  sendFile(call, file, 'no-cache');
}

export async function showPageFile(call: Call): Promise<void> {
  const page = await loadOnce();
  const file = call.place.rest === indexName || call.place.rest === keyedIndexName ? undefined : page?.get(call.place.rest);
  if (file === undefined) throw new BreakwaterError('not_found', `unknown path ${call.place.path}`);
  sendFile(call, file, 'public, max-age=31536000, immutable');
}

function sendFile(call: Call, file: PageFile, cacheControl: string): void {
  const encoding = encodingFor(call.exchange.header('accept-encoding') ?? '');
  const headers = ['content-type', file.contentType, 'cache-control', cacheControl, ...securityHeaders];
  if (encoding !== 'plain') headers.push('content-encoding', encoding);
  call.sendAsIs(200, headers, file[encoding]);
}

function encodingFor(accepted: string): 'br' | 'gzip' | 'plain' {
  const names = accepted
    .toLowerCase()
    .split(',')
    .filter((part) => !/;\s*q=0(?:\.0*)?\s*$/.test(part))
    .map((part) => part.split(';', 1)[0]!.trim());
  return names.includes('br') ? 'br' : names.includes('gzip') ? 'gzip' : 'plain';
}

/** A missing page is looked up again for each request, as it may have been built meanwhile. */
async function loadOnce(): Promise<Page | null> {
  loaded ??= load().catch((error: unknown) => {
    loaded = null; // files may be replaced while they are read
    throw error;
  });
  const page = await loaded;
  if (page === null) loaded = null;
  return page;
}

async function load(): Promise<Page | null> {
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => null);
    if (names === null || !names.includes(indexName)) continue;
    const files = names.filter((name) => fileName.test(name)).map(async (name) => [name, await readPageFile(folder + name)] as const);
    const page = new Map(await Promise.all(files));
    const keyed = Buffer.from(page.get(indexName)!.plain).toString().replace('<div id="app"', '<div id="app" data-key="required"');
    return page.set(keyedIndexName, await toPageFile(indexName, Buffer.from(keyed)));
  }
  return null;
}

async function readPageFile(path: string): Promise<PageFile> {
  return toPageFile(path, await readFile(path));
}

async function toPageFile(path: string, plain: Uint8Array): Promise<PageFile> {
  const [br, zipped] = await Promise.all([promisify(brotliCompress)(plain), promisify(gzip)(plain)]);
  return { contentType: contentTypes[path.slice(path.lastIndexOf('.') + 1)]!, plain, br, gzip: zipped };
}
