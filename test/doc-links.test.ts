/** Links of README, docs and examples: every relative file exists, also in the package, and every anchor exists. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { listFiles, root } from './tidy/scan.ts';

const pages = ['README.md', 'CHANGELOG.md', ...listFiles(['docs', 'examples'], /\.md$/)];
const texts = new Map(pages.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
const packaged = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }).files;

/** Without code, whose brackets are no links. */
const proseOf = (text: string): string => text.replaceAll(/```[^]*?```|`[^`\n]*`/g, '');

interface Link {
  readonly page: string;
  /** Relative to the root; the page itself for a bare anchor. */
  readonly path: string;
  readonly anchor: string | null;
}

function linksOf(page: string): Link[] {
  const found = [...proseOf(texts.get(page)!).matchAll(/\]\(([^()\s]+)(?: "[^"]*")?\)|(?:src|href)="([^"]+)"/g)];
  return found
    .map(([, link, attribute]) => link ?? attribute!)
    .filter((link) => !/^[a-z]+:/i.test(link))
    .map((link) => {
      const [file = '', anchor = null] = link.split('#');
      const path = file === '' ? page : normalize(join(dirname(page), decodeURI(file)));
      return { page, path, anchor };
    });
}

const links = pages.flatMap(linksOf);
/** The anchors of a page, as GitHub makes them from headings, and explicit ones. */
function anchorsOf(text: string): Set<string> {
  const explicit = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!);
  const slugs = new Map<string, number>();
  const headings = [...text.replaceAll(/```[^]*?```/g, '').matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => {
    const plain = heading!.replaceAll(/<[^>]*>/g, '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = plain
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    const seen = slugs.get(slug) ?? 0;
    slugs.set(slug, seen + 1);
    return seen === 0 ? slug : `${slug}-${seen}`;
  });
  return new Set([...explicit, ...headings]);
}

test('every relative link of README, docs and examples leads to a file', () => {
  assert.ok(links.length > 200);
  const broken = links.filter(({ path }) => !existsSync(join(root, path))).map(({ page, path }) => `${page}: ${path}`);
  assert.deepEqual(broken, []);
});

test('every anchor of a link exists', () => {
  const broken = links
    .filter(({ path, anchor }) => anchor !== null && path.endsWith('.md') && existsSync(join(root, path)))
    .filter(({ path, anchor }) => !anchorsOf(texts.get(path) ?? readFileSync(join(root, path), 'utf8')).has(anchor!))
    .map(({ page, path, anchor }) => `${page}: ${path}#${anchor}`);
  assert.deepEqual(broken, []);
});

test('README and docs link only to files that are in the package', () => {
  const isPackaged = (path: string): boolean => packaged.some((entry) => path === entry || path.startsWith(`${entry.replace(/\/$/, '')}/`));
  const missing = links.filter(({ page, path }) => isPackaged(page) && !isPackaged(path)).map(({ page, path }) => `${page}: ${path}`);
  assert.ok(isPackaged('docs/README.md'));
  assert.deepEqual(missing, []);
});

test('every page of docs is in its index', () => {
  const indexed = new Set(links.filter(({ page }) => page === 'docs/README.md').map(({ path }) => path));
  const unlisted = pages.filter(
    (path) => path.startsWith('docs/') && path !== 'docs/README.md' && !indexed.has(path) && !indexed.has(dirname(path)),
  );
  assert.deepEqual(unlisted, []);
  assert.ok(statSync(join(root, 'docs')).isDirectory());
});
