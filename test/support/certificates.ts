import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/**
 * X.509 certificates for tests, written in DER by hand, so that no program has to be installed to make them. Elliptic
 * curve keys, valid from 2020 to 2099.
 */

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface CertificateOptions {
  readonly commonName: string;
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly ips?: readonly string[];
  /** When it expires; 2099 when left out. */
  readonly notAfter?: Date;
}

/** An authority that signs certificates. */
export class CertificateAuthority {
  /** The authority's own certificate, in PEM. */
  readonly cert: string;
  private readonly keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  private readonly name: Buffer;

  constructor(commonName: string) {
    this.name = distinguishedName(commonName);
    this.cert = this.signed(this.name, this.keys.publicKey, [
      extension('2.5.29.19', sequence(boolean(true)), true), // basic constraints: an authority
      extension('2.5.29.15', tlv(0x03, Buffer.from([1, 0x06])), true), // key usage: signs certificates and lists
    ]);
  }

  /** Issues a certificate for both ends of a connection. */
  issue({ commonName, dns = [], uris = [], ips = [], notAfter }: CertificateOptions): Certificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const names = [
      ...dns.map((name) => tlv(0x82, Buffer.from(name))),
      ...uris.map((uri) => tlv(0x86, Buffer.from(uri))),
      ...ips.map((ip) => tlv(0x87, Buffer.from(ip.split('.').map(Number)))),
    ];
    const extensions = names.length === 0 ? [] : [extension('2.5.29.17', sequence(...names))];
    return {
      cert: this.signed(distinguishedName(commonName), publicKey, extensions, notAfter),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  private signed(
    subject: Buffer,
    publicKey: KeyObject,
    extensions: readonly Buffer[],
    notAfter: Date = new Date('2099-12-31T23:59:59Z'),
  ): string {
    const algorithm = sequence(objectId('1.2.840.10045.4.3.2')); // ECDSA with SHA-256
    const toSign = sequence(
      tlv(0xa0, integer(Buffer.from([2]))), // version 3
      integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      algorithm,
      this.name,
      sequence(tlv(0x17, Buffer.from('200101000000Z')), tlv(0x18, Buffer.from(generalizedTime(notAfter)))),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      tlv(
        0xa3,
        sequence(
          extension('2.5.29.14', tlv(0x04, keyId(publicKey))),
          authorityKeyId(this.keys.publicKey),
          ...extensions,
        ),
      ),
    );
    const signature = sign('sha256', toSign, this.keys.privateKey);
    const der = sequence(toSign, algorithm, bitString(signature));
    const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

function generalizedTime(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
}

/** One DER element. */
function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return tlv(0x02, bytes);
}

function boolean(value: boolean): Buffer {
  return tlv(0x01, Buffer.from([value ? 0xff : 0]));
}

function bitString(bytes: Buffer): Buffer {
  return tlv(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(commonName)))));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(objectId(id), ...(critical ? [boolean(true)] : []), tlv(0x04, value));
}

function keyId(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function authorityKeyId(publicKey: KeyObject): Buffer {
  return extension('2.5.29.35', sequence(tlv(0x80, keyId(publicKey))));
}
