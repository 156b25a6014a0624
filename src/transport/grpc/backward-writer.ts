import { varintSize, writeVarint } from './wire.js';

/** Up to this length a loop over characters is faster than two calls into native code. */
const SHORT_TEXT = 64;

/**
 * Writes protobuf's binary format from the last byte to the first.
 *
 * A nested message is preceded by its length, which is known only once it is written: written backwards, it is known
 * when it is needed, and nothing is measured twice. Fields come out in the reverse of the order of the calls.
 */
export class BackwardWriter {
  private bytes: Buffer;
  /** The message so far begins at this byte. */
  private position: number;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity);
    this.position = capacity;
  }

  /** Begins a message, and forgets an unfinished one. */
  begin(): void {
    this.position = this.bytes.length;
  }

  /** How many bytes are written so far: pass it to {@link message} to wrap what is written from here on. */
  get length(): number {
    return this.bytes.length - this.position;
  }

  /** A text field. */
  text(tag: number, text: string): void {
    if (text.length <= SHORT_TEXT && this.shortText(text)) {
      this.header(tag, text.length);
      return;
    }
    const size = Buffer.byteLength(text);
    this.make(size);
    this.bytes.write(text, this.position, 'utf8');
    this.header(tag, size);
  }

  /** A field of a number below 2^32. */
  number(tag: number, value: number): void {
    this.varint(value);
    this.varint(tag);
  }

  /** Makes everything written since {@link length} was `since` the content of one field. */
  message(tag: number, since: number): void {
    this.header(tag, this.length - since);
  }

  /** Returns a copy of what was written. */
  finish(): Buffer {
    return Buffer.from(this.bytes.subarray(this.position));
  }

  /** Writes a text of ASCII characters only; returns whether it was one. */
  private shortText(text: string): boolean {
    const { length } = text;
    this.make(length);
    const { bytes, position } = this;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        this.position += length;
        return false;
      }
      bytes[position + i] = code;
    }
    return true;
  }

  private header(tag: number, size: number): void {
    this.varint(size);
    this.varint(tag);
  }

  private varint(value: number): void {
    if (value < 0x80) {
      this.make(1);
      this.bytes[this.position] = value;
      return;
    }
    this.make(varintSize(value));
    writeVarint(this.bytes, this.position, value);
  }

  /** Makes room for `size` more bytes in front. */
  private make(size: number): void {
    if (size > this.position) {
      const { length } = this;
      const larger = Buffer.allocUnsafe((length + size) * 2);
      this.bytes.copy(larger, larger.length - length, this.position);
      this.bytes = larger;
      this.position = larger.length - length;
    }
    this.position -= size;
  }
}
