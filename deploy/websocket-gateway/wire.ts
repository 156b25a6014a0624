import { Decoder, Encoder, type Packet, PacketType } from 'socket.io-parser';

/** Why a connection is refused, as the platform's SDKs read it. */
export interface Refusal {
  readonly message: string;
  readonly code: string;
}

/** The error that refuses a connection in a Socket.IO middleware. */
export function refusalError(refusal: Refusal): Error {
  return Object.assign(new Error(refusal.message), { data: refusal });
}

/**
 * Socket.IO's own encoding, but for one packet: `CONNECT_ERROR` says `{message, code, data}`, not `{message, data}`. The
 * platform's servers put the code beside the message; clients of Socket.IO for JavaScript read only what is in `data`.
 */
class PlatformEncoder extends Encoder {
  override encode(packet: Packet): unknown[] {
    if (packet.type !== PacketType.CONNECT_ERROR) return super.encode(packet);
    return super.encode({ ...packet, data: { ...packet.data?.data, ...packet.data } });
  }
}

/** For the option `parser` of a Socket.IO server. */
export const platformParser = { Encoder: PlatformEncoder, Decoder };
