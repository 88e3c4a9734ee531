/** A minimal multipart/form-data parser (RFC 7578): names, small text fields, and the size of each part. */

export interface Multipart {
  fields: Record<string, unknown>;
  sizes: Record<string, number>;
  /** Parts that are files. */
  files: Record<string, Buffer>;
  fileNames: Record<string, string>;
}

const FIELD_BYTES_MAX = 4096;

/** Parses a form. A body without its boundary has no fields. */
export function readMultipart(body: Buffer, contentType: string): Multipart {
  const result: Multipart = { fields: {}, sizes: {}, files: {}, fileNames: {} };
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) return result;
  const mark = Buffer.from(`--${boundary}`);
  let at = body.indexOf(mark);
  while (at !== -1) {
    const next = body.indexOf(mark, at + mark.length);
    if (next === -1) break;
    readPart(body.subarray(at + mark.length + 2, next - 2), result);
    at = next;
  }
  return result;
}

function readPart(part: Buffer, result: Multipart): void {
  const headEnd = part.indexOf('\r\n\r\n');
  if (headEnd === -1) return;
  const head = part.subarray(0, headEnd).toString('utf8');
  const name = /\bname="([^"]*)"/i.exec(head)?.[1];
  if (name === undefined) return;
  const value = part.subarray(headEnd + 4);
  result.sizes[name] = value.length;
  const fileName = /\bfilename="([^"]*)"/i.exec(head)?.[1];
  if (fileName !== undefined) {
    result.files[name] = value;
    result.fileNames[name] = fileName;
  } else if (value.length <= FIELD_BYTES_MAX) result.fields[name] = value.toString('utf8');
}
