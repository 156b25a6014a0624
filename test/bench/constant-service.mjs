// Loaded before the built program: the first gRPC server that binds also serves a method that answers a constant with
// codecs that do nothing. It is the ceiling of what this very server can do.
import { Server } from '@grpc/grpc-js';

const CONSTANT = Buffer.from([0x08, 0x01, 0x10, 0x01]);
const identity = (bytes) => bytes;
const bindAsync = Server.prototype.bindAsync;
let added = false;

Server.prototype.bindAsync = function (...args) {
  if (!added) {
    added = true;
    this.addService(
      {
        answer: {
          path: '/latchkey.bench.Constant/Answer',
          requestStream: false,
          responseStream: false,
          requestSerialize: identity,
          requestDeserialize: identity,
          responseSerialize: identity,
          responseDeserialize: identity,
        },
      },
      { answer: (_call, callback) => callback(null, CONSTANT) },
    );
  }
  return bindAsync.apply(this, args);
};
