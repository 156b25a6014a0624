import { BrokenMessage } from './wire.js';

/** What a generated codec offers for decoding. */
interface Decoder<T> {
  decode(bytes: Uint8Array): T;
}

/** What the generated decoder puts where text is not UTF-8. */
const REPLACEMENT = '\uFFFD';

/**
 * Makes a deserializer of a generated decoder. Bytes that are not a message, and text that is not UTF-8, become a
 * {@link BrokenMessage} as a value: an exception would reach the client as an `INTERNAL` fault of this server.
 *
 * @param texts the text fields of the message
 */
export function decodeWith<T extends object>(
  codec: Decoder<T>,
  texts: readonly (keyof T & string)[],
): (bytes: Buffer) => T | BrokenMessage {
  return (bytes) => {
    let message: T;
    try {
      message = codec.decode(bytes);
    } catch {
      return new BrokenMessage('The message is not well-formed.');
    }
    const broken = texts.find((name) => String(message[name]).includes(REPLACEMENT));
    return broken === undefined ? message : new BrokenMessage(`The field ${snakeCase(broken)} is not UTF-8.`);
  };
}

/** A field's name as its .proto file spells it. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
