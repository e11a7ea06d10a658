"""What went wrong with TLS, in words, on either side."""

import contextlib
import ssl

from cxr_node.message import Message


def telling(context: ssl.SSLContext, failures: list[OSError]) -> ssl.SSLContext:
    """The context, whose sockets put into `failures` what keeps them from being secured."""

    class Telling(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                failures.append(error)
                raise

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLError as error:  # with TLS 1.3 a peer refuses our certificate only after the handshake
                failures.append(error)
                raise

        def shutdown(self, how: int) -> None:
            with contextlib.suppress(OSError):  # pynetdicom closes only what it could shut down
                super().shutdown(how)

    context.sslsocket_class = Telling
    return context


def sentence(error: OSError) -> str:
    """Why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Message("its certificate is not accepted: {error}", error=error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return Message("it ended the handshake, or did not answer; does it speak TLS on this port?")
