import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PieceOrigins, PIECE_RETENTION_MS, PIECES_MAX, PLACES_MAX } from './piece-origins.ts';
import type { SavedPiece } from './piece-origins.ts';

const place = (account: string, model = 'm') => ({ provider: account.split('#')[0]!, account, model });
const A = place('a#1');
const B = place('a#2');

describe('the origin of a piece', () => {
  it('it can read the piece, other places cannot, and without an origin nothing is known', () => {
    const book = new PieceOrigins();
    assert.equal(book.reading(0, 'x', A), 'unknown');
    book.made(0, 'x', A);
    assert.deepEqual(
      [A, B, place('a#1', 'other')].map((at) => book.reading(0, 'x', at)),
      ['own', 'foreign', 'foreign'],
    );
  });

  it('there may be several', () => {
    const book = new PieceOrigins();
    book.made(0, 'x', A);
    book.made(0, 'x', B);
    assert.deepEqual([book.reading(0, 'x', A), book.reading(0, 'x', B)], ['own', 'own']);
    assert.deepEqual(
      book.makers(0, 'x').map(({ account }) => account),
      ['a#1', 'a#2'],
    );
  });

  it('it no longer counts when it refuses the piece, until it makes it again', () => {
    const book = new PieceOrigins();
    book.made(0, 'x', A);
    book.refused(0, 'x', A);
    assert.equal(book.reading(0, 'x', A), 'foreign');
    assert.deepEqual(book.makers(0, 'x'), []);
    book.made(0, 'x', A);
    assert.equal(book.reading(0, 'x', A), 'own');
  });

  it('it stays unknown when another place has refused the piece', () => {
    const book = new PieceOrigins();
    book.refused(0, 'x', A);
    assert.deepEqual([book.reading(0, 'x', A), book.reading(0, 'x', B)], ['foreign', 'unknown']);
  });

  it('it is forgotten after a time without use', () => {
    const book = new PieceOrigins();
    book.made(0, 'x', A);
    assert.equal(book.reading(PIECE_RETENTION_MS, 'x', A), 'own');
    assert.equal(book.reading(2 * PIECE_RETENTION_MS, 'x', A), 'own');
    assert.equal(book.reading(3 * PIECE_RETENTION_MS + 1, 'x', A), 'unknown');
    assert.equal(book.size, 0);
  });
});

describe('the known origins', () => {
  it('hold a bounded number of pieces, the most recently used', () => {
    const book = new PieceOrigins();
    for (let i = 0; i < PIECES_MAX; i++) book.made(i, `p${i}`, A);
    book.reading(PIECES_MAX + 5_000, 'p0', A);
    book.made(PIECES_MAX + 5_000, 'new', A);
    assert.equal(book.size, PIECES_MAX);
    assert.deepEqual(
      ['p0', 'p1', 'new'].map((id) => book.reading(PIECES_MAX + 5_000, id, A)),
      ['own', 'unknown', 'own'],
    );
  });

  it('hold a bounded number of places per piece', () => {
    const book = new PieceOrigins();
    for (let i = 0; i < PLACES_MAX + 3; i++) book.made(0, 'x', place(`a#${i}`));
    assert.equal(book.makers(0, 'x').length, PLACES_MAX);
    assert.equal(book.reading(0, 'x', place(`a#${PLACES_MAX + 2}`)), 'own');
  });

  it('save changes only, renew what is used, and restore what was saved', () => {
    const saved = new Map<string, { piece: SavedPiece; expiresAtMs: number }>();
    let puts = 0;
    const store = {
      put: (id: string, piece: SavedPiece, expiresAtMs: number) => (puts++, void saved.set(id, { piece, expiresAtMs })),
      delete: (id: string) => void saved.delete(id),
    };
    const book = new PieceOrigins();
    book.store = store;
    book.made(0, 'x', A);
    for (let i = 0; i < 100; i++) book.made(i * 1_000, 'x', A);
    assert.equal(puts, 1);
    book.refused(100_000, 'x', B);
    assert.equal(puts, 2);
    book.reading(PIECE_RETENTION_MS - 1, 'x', A);
    assert.deepEqual([puts, saved.get('x')!.expiresAtMs], [3, 2 * PIECE_RETENTION_MS - 1]);

    const again = new PieceOrigins();
    again.restore(0, 'x', JSON.parse(JSON.stringify(saved.get('x')!.piece)) as SavedPiece);
    assert.deepEqual([again.reading(0, 'x', A), again.reading(0, 'x', B)], ['own', 'foreign']);
    assert.equal(book.reading(3 * PIECE_RETENTION_MS, 'x', A), 'unknown');
    assert.equal(saved.size, 0);
  });
});
