import type { ServerUnaryCall } from '@grpc/grpc-js';

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

/**
 * The names that a client's verified certificate gives it: its subject alternative names of kind URI (SPIFFE ids) and
 * DNS, in the certificate's order. Empty without a certificate, or with one that was not verified.
 *
 * The common name counts for nothing: any authority that signs host names lets its customers choose it.
 */
export function namesOfPeer(context: AuthContext): readonly string[] {
  return parseSubjectAltName(context.sslPeerCertificate?.subjectaltname ?? '');
}

/**
 * Reads Node's text form of subject alternative names: `URI:spiffe://a/b, DNS:c.example`. A value that could be mistaken
 * for another entry stands there as a JSON string; one that is broken ends the reading, so that nothing after it counts.
 */
export function parseSubjectAltName(text: string): readonly string[] {
  const names: string[] = [];
  const entry = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/y;
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text);
    if (match === null) break;
    const [, kind, value = ''] = match;
    if (kind === 'URI' || kind === 'DNS') names.push(value.startsWith('"') ? String(JSON.parse(value)) : value);
  }
  return names;
}
