package sigv4

import (
	"bytes"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// chunks is a body in AWS's own chunks, which are inside of those of HTTP:
//
//	size in hex;chunk-signature=hex CRLF, so many bytes, CRLF
//
// until one of no bytes, which trailers may follow, one a line, the last of which
// signs them. Each signature covers the one before:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
type chunks struct {
	rest    []byte
	length  int  // of what is in the chunks, as the request says
	signed  bool // each chunk and the trailers
	trailer bool
	names   []string // of trailers

	signer   signer
	previous string // signature
	number   int    // of the chunk, from 1
}

func newChunks(h http.Header, claim string, body []byte) (*chunks, error) {
	c := &chunks{rest: body, signed: claim != unsignedTrailer, trailer: claim != signedChunks}
	length, err := strconv.ParseUint(h.Get("X-Amz-Decoded-Content-Length"), 10, 31)
	if err != nil {
		return nil, malformed("x-amz-decoded-content-length must be the number of bytes in them")
	}
	c.length = int(length)
	if c.length > len(body) {
		return nil, malformed("%d bytes cannot have the %d that x-amz-decoded-content-length says", len(body), c.length)
	}
	if !c.trailer {
		return c, nil
	}
	for name := range strings.SplitSeq(h.Get("X-Amz-Trailer"), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			c.names = append(c.names, name)
		}
	}
	for _, name := range c.names {
		if checksum(name) == nil {
			return nil, malformed("x-amz-trailer: %s is not supported", shorten(name))
		}
	}
	return c, nil
}

// decode returns what is in the chunks. They are signed from the signature of the
// request on.
func (c *chunks) decode(s signer, seed string) ([]byte, error) {
	c.signer, c.previous = s, seed
	out := make([]byte, 0, c.length)
	for {
		data, err := c.next(c.length - len(out))
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			break
		}
		out = append(out, data...)
	}
	if len(out) != c.length {
		return nil, malformed("they have %d bytes, and x-amz-decoded-content-length says %d", len(out), c.length)
	}
	if c.trailer {
		return out, c.checkTrailers(out)
	}
	if len(c.rest) > 0 && string(c.rest) != "\r\n" {
		return nil, malformed("something follows the last one")
	}
	return out, nil
}

// next returns the bytes of the next chunk, at most so many; none are the last.
func (c *chunks) next(most int) ([]byte, error) {
	c.number++
	head, rest, ok := bytes.Cut(c.rest, []byte("\r\n"))
	digits, extension, _ := strings.Cut(string(head), ";")
	size, err := strconv.ParseUint(digits, 16, 31)
	if !ok || err != nil {
		return nil, malformed("chunk %d begins without its size", c.number)
	}
	n := int(size)
	if n > most {
		return nil, malformed("chunk %d goes beyond x-amz-decoded-content-length", c.number)
	}
	data := rest
	if n > 0 {
		if len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
			return nil, malformed("chunk %d does not end after its %d bytes", c.number, n)
		}
		data, rest = rest[:n], rest[n+2:]
	} else {
		data = nil
	}
	c.rest = rest
	if !c.signed {
		return data, nil
	}
	given, ok := strings.CutPrefix(extension, "chunk-signature=")
	if !ok {
		return nil, malformed("chunk %d has no chunk-signature", c.number)
	}
	own := c.signer.sign(algorithm+"-PAYLOAD", c.previous, hashOf(""), hashOf(data))
	if subtle.ConstantTimeCompare([]byte(own), []byte(given)) != 1 {
		return nil, invalid("The signature of chunk %d does not match what we calculated.", c.number)
	}
	c.previous = own
	return data, nil
}

// checkTrailers holds what follows the last chunk to the names that the request
// has in x-amz-trailer, to its signature, and to the body.
func (c *chunks) checkTrailers(body []byte) error {
	trailers, signature, err := c.readTrailers()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(trailers))
	for name := range trailers {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(c.names)
	if !slices.Equal(names, c.names) {
		return malformed("the trailers are '%s', and x-amz-trailer says '%s'",
			shorten(strings.Join(names, ",")), shorten(strings.Join(c.names, ",")))
	}
	var text strings.Builder
	for _, name := range names {
		text.WriteString(name + ":" + trailers[name] + "\n")
	}
	if c.signed {
		own := c.signer.sign(algorithm+"-TRAILER", c.previous, hashOf(text.String()))
		if subtle.ConstantTimeCompare([]byte(own), []byte(signature)) != 1 {
			return invalid("The signature of the trailers does not match what we calculated.")
		}
	}
	for _, name := range names {
		if checksum(name)(body) != trailers[name] {
			return malformed("the body is not the one of %s", name)
		}
	}
	return nil
}

// readTrailers takes lines until an empty one, or the end. AWS's examples end
// lines with LF alone.
func (c *chunks) readTrailers() (trailers map[string]string, signature string, err error) {
	const signatureName = "x-amz-trailer-signature"
	trailers = make(map[string]string)
	for len(c.rest) > 0 {
		line, rest, _ := bytes.Cut(c.rest, []byte("\n"))
		c.rest = rest
		text := strings.TrimSuffix(string(line), "\r")
		if text == "" {
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		_, twice := trailers[name]
		switch {
		case !ok || signature != "":
			return nil, "", malformed("a line after the last one is no trailer")
		case name == signatureName && c.signed:
			signature = value
		case twice:
			return nil, "", malformed("the trailer %s occurs twice", shorten(name))
		default:
			trailers[name] = value
		}
	}
	return trailers, signature, nil
}
