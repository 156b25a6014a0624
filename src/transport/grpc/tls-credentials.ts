import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { TlsFiles, TlsMaterial } from '../tls-files.js';

type CertificateProvider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type IdentityListener = Parameters<CertificateProvider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<CertificateProvider['addCaCertificateListener']>[0];

/**
 * Server credentials that follow the files: new connections use what was read last, open ones go on undisturbed.
 * With an authority of clients, a client without a certificate signed by it does not get through the handshake.
 *
 * The library's own file watcher is not used: it drops its credentials, and with them every new connection, while the
 * files are half-written.
 */
export function tlsServerCredentials(files: TlsFiles): ServerCredentials {
  const provider = new FilesCertificateProvider(files);
  const mutual = files.current.clientCa !== null;
  return experimental.createCertificateProviderServerCredentials(provider, mutual ? provider : null, mutual);
}

/** Hands the files to the library. Listeners are called after their registration has returned, as it expects. */
class FilesCertificateProvider implements CertificateProvider {
  private readonly identityListeners = new Set<IdentityListener>();
  private readonly caListeners = new Set<CaListener>();
  private unsubscribe: () => void = () => {};

  constructor(private readonly files: TlsFiles) {}

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.identityListeners.add(listener);
    this.follow();
    queueMicrotask(() => this.tellIdentity(listener, this.files.current));
  }

  addCaCertificateListener(listener: CaListener): void {
    this.caListeners.add(listener);
    this.follow();
    queueMicrotask(() => this.tellCa(listener, this.files.current));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.identityListeners.delete(listener);
    this.unfollow();
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.caListeners.delete(listener);
    this.unfollow();
  }

  private follow(): void {
    if (this.identityListeners.size + this.caListeners.size !== 1) return;
    this.unsubscribe = this.files.subscribe((material) => {
      for (const listener of this.caListeners) this.tellCa(listener, material);
      for (const listener of this.identityListeners) this.tellIdentity(listener, material);
    });
  }

  private unfollow(): void {
    if (this.identityListeners.size + this.caListeners.size === 0) this.unsubscribe();
  }

  private tellIdentity(listener: IdentityListener, { cert, key }: TlsMaterial): void {
    if (this.identityListeners.has(listener)) listener({ certificate: cert, privateKey: key });
  }

  private tellCa(listener: CaListener, { clientCa }: TlsMaterial): void {
    if (clientCa !== null && this.caListeners.has(listener)) listener({ caCertificate: clientCa });
  }
}
