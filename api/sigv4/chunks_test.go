package sigv4_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// chunker puts a body into signed chunks. It is written apart from the verifier,
// after AWS's description.
type chunker struct {
	key         []byte
	date, scope string
	previous    string
	out         bytes.Buffer
}

func newChunker(seed string) *chunker {
	c := &chunker{date: now.Format("20060102T150405Z"), scope: now.Format("20060102") + "/" + region + "/iot/aws4_request", previous: seed}
	c.key = []byte("AWS4" + secret)
	for part := range strings.SplitSeq(c.scope, "/") {
		c.key = mac(c.key, part)
	}
	return c
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (c *chunker) sign(kind, hashes string) string {
	c.previous = hex.EncodeToString(mac(c.key, strings.Join([]string{kind, c.date, c.scope, c.previous, hashes}, "\n")))
	return c.previous
}

func (c *chunker) chunk(data string) {
	fmt.Fprintf(&c.out, "%x;chunk-signature=%s\r\n%s", len(data), c.sign("AWS4-HMAC-SHA256-PAYLOAD", hashed("")+"\n"+hashed(data)), data)
	if data != "" {
		c.out.WriteString("\r\n")
	}
}

func (c *chunker) trailer(line string) {
	fmt.Fprintf(&c.out, "%s\r\nx-amz-trailer-signature:%s\r\n\r\n", line, c.sign("AWS4-HMAC-SHA256-TRAILER", hashed(line+"\n")))
}

const (
	chunkedBody = `{"thingTypeName":"t"}`
	chunkedCRC  = "x-amz-checksum-crc32:"
)

func crc(body string) string {
	return chunkedCRC + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}

// chunkedRequest is a request whose body comes in chunks of this kind, and that
// body, of three chunks.
func chunkedRequest(t *testing.T, kind string) (*http.Request, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost:8443/things/t", nil)
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Content-Sha256", kind)
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(chunkedBody)))
	if strings.HasSuffix(kind, "-TRAILER") {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	}
	signPayload(t, r, kind, signature{})
	if kind == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
		return r, fmt.Sprintf("8\r\n%s\r\n%X\r\n%s\r\n0\r\n%s\r\n\r\n", chunkedBody[:8], len(chunkedBody)-8, chunkedBody[8:], crc(chunkedBody))
	}
	_, seed, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	c := newChunker(seed)
	c.chunk(chunkedBody[:8])
	c.chunk(chunkedBody[8:])
	c.chunk("")
	if kind == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" {
		c.trailer(crc(chunkedBody))
	} else {
		c.out.WriteString("\r\n")
	}
	return r, c.out.String()
}

const (
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

func TestVerifyChunks(t *testing.T) {
	for _, kind := range []string{signedChunks, signedTrailer, unsignedTrailer} {
		t.Run(kind, func(t *testing.T) {
			r, body := chunkedRequest(t, kind)
			got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Body) != chunkedBody {
				t.Errorf("decoded %q", got.Body)
			}
		})
	}
}

func TestVerifyChunksRefuses(t *testing.T) {
	swap := func(old, new string) func(string) string {
		return func(body string) string {
			if !strings.Contains(body, old) {
				t.Fatalf("no %q in %q", old, body)
			}
			return strings.Replace(body, old, new, 1)
		}
	}
	cut := func(n int) func(string) string { return func(body string) string { return body[:len(body)-n] } }
	for _, c := range []struct {
		name, kind string
		change     func(string) string
		code, text string
	}{
		{"altered", signedChunks, swap(`Name":"t"`, `Name":"u"`), "InvalidSignatureException", "chunk 2 does not match"},
		{"altered at first", signedChunks, swap(`{"thing`, `{"thong`), "InvalidSignatureException", "chunk 1 does not match"},
		{"unsigned chunk", signedChunks, swap("8;chunk-signature=", "8;chunk-sig="), "InvalidRequestException", "chunk 1 has no chunk-signature"},
		{"altered trailer", signedTrailer, swap(crc(chunkedBody), crc("x")), "InvalidSignatureException", "signature of the trailers"},
		{"no trailer signature", signedTrailer, swap("x-amz-trailer-signature", "x-amz-other"), "InvalidRequestException", "trailers are"},
		{"no trailer at all", signedTrailer, func(body string) string { head, _, _ := strings.Cut(body, chunkedCRC); return head },
			"InvalidRequestException", "the trailers are '', and x-amz-trailer says 'x-amz-checksum-crc32'"},
		{"another checksum", unsignedTrailer, swap(crc(chunkedBody), crc("x")), "InvalidRequestException", "not the one of x-amz-checksum-crc32"},
		{"altered, with a checksum", unsignedTrailer, swap(`Name":"t"`, `Name":"u"`), "InvalidRequestException", "not the one of"},
		{"another trailer", unsignedTrailer, swap(chunkedCRC, "x-amz-checksum-crc32c:"), "InvalidRequestException", "trailers are"},
		{"trailer twice", unsignedTrailer, swap(chunkedCRC, chunkedCRC+"AAAA\r\n"+chunkedCRC), "InvalidRequestException", "occurs twice"},
		{"trailer of no form", unsignedTrailer, swap(chunkedCRC, "x"), "InvalidRequestException", "is no trailer"},
		{"empty", signedChunks, func(string) string { return "" }, "InvalidRequestException", "0 bytes cannot have the 21"},
		{"not in chunks", unsignedTrailer, func(string) string { return chunkedBody }, "InvalidRequestException", "chunk 1 begins without its size"},
		{"no end", signedChunks, cut(86), "InvalidRequestException", "chunk 3 begins without"},
		{"broken off", signedChunks, cut(40), "InvalidRequestException", "chunk 3 begins without"},
		{"chunk broken off", unsignedTrailer, func(body string) string { return body[:24] }, "InvalidRequestException", "chunk 2 does not end after its 13 bytes"},
		{"longer than it says", unsignedTrailer, swap("8\r\n", "8000\r\n"), "InvalidRequestException", "chunk 1 goes beyond"},
		{"shorter than it says", unsignedTrailer, func(body string) string { return body[:11] + "\r\n0\r\n" + body[11:] },
			"InvalidRequestException", "they have 8 bytes, and x-amz-decoded-content-length says 21"},
		{"size of no form", unsignedTrailer, swap("8\r\n", "-8\r\n"), "InvalidRequestException", "chunk 1 begins without"},
		{"size of too many digits", unsignedTrailer, swap("8\r\n", "fffffffffffffffff8\r\n"), "InvalidRequestException", "chunk 1 begins without"},
		{"something follows", signedChunks, func(body string) string { return body + "x" }, "InvalidRequestException", "something follows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, body := chunkedRequest(t, c.kind)
			got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(c.change(body)))
			refused(t, got, err, c.code, c.text)
		})
	}
}

// TestVerifyChunksHeaders: what the request says of its chunks must be of use.
func TestVerifyChunksHeaders(t *testing.T) {
	for _, c := range []struct {
		name, kind   string
		length, sums string
		code, text   string
	}{
		{"no length", signedChunks, "", "", "InvalidRequestException", "x-amz-decoded-content-length must be"},
		{"length of no form", signedChunks, "-1", "", "InvalidRequestException", "x-amz-decoded-content-length must be"},
		{"length beyond all", signedChunks, "9223372036854775808", "", "InvalidRequestException", "x-amz-decoded-content-length must be"},
		{"length beyond the body", signedChunks, "2000000000", "", "InvalidRequestException", "cannot have the 2000000000"},
		{"unknown trailer", unsignedTrailer, "1", "x-amz-other", "InvalidRequestException", "x-amz-trailer: x-amz-other is not supported"},
		{"events", "STREAMING-AWS4-HMAC-SHA256-EVENTS", "1", "", "InvalidSignatureException", "STREAMING-AWS4-HMAC-SHA256-EVENTS is not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost/things/t", nil)
			for name, value := range map[string]string{"X-Amz-Content-Sha256": c.kind, "X-Amz-Decoded-Content-Length": c.length, "X-Amz-Trailer": c.sums} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			signPayload(t, r, c.kind, signature{})
			got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte("1\r\nx\r\n0\r\n\r\n"))
			refused(t, got, err, c.code, c.text)
		})
	}
	r, body := chunkedRequest(t, unsignedTrailer)
	r.TLS = nil
	got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(body))
	refused(t, got, err, "InvalidSignatureException", "over TLS only")
}

// TestVerifyChecksums takes each of AWS's checksums of "123456789": those of CRC
// are in the catalogue of such algorithms, those of SHA are what sha1sum prints.
func TestVerifyChecksums(t *testing.T) {
	for name, value := range map[string]string{
		"x-amz-checksum-crc32":     "y/Q5Jg==",     // CBF43926
		"x-amz-checksum-crc32c":    "4waSgw==",     // E3069283
		"x-amz-checksum-crc64nvme": "rosUhgp5mIg=", // AE8B14860A799888
		"x-amz-checksum-sha1":      "98O8HYCOBHMq32eZZczDTKeuNEE=",
		"x-amz-checksum-sha256":    "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost/things/t", nil)
		r.Header.Set("X-Amz-Content-Sha256", unsignedTrailer)
		r.Header.Set("X-Amz-Decoded-Content-Length", "9")
		r.Header.Set("X-Amz-Trailer", name)
		signPayload(t, r, unsignedTrailer, signature{})
		got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte("9\r\n123456789\r\n0\r\n"+name+": "+value+"\r\n\r\n"))
		if err != nil || string(got.Body) != "123456789" {
			t.Errorf("%s: %q, %v", name, got.Body, err)
		}
	}
}

// TestVerifyPublishedChunks takes the examples of AWS's pages about signed chunks,
// which are of Amazon S3; the first ends without trailers.
func TestVerifyPublishedChunks(t *testing.T) {
	const (
		begin = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="
		ends  = "\r\n"
	)
	blocks := func(signatures ...string) string {
		first, second := strings.Repeat("a", 65536), strings.Repeat("a", 1024)
		return "10000;chunk-signature=" + signatures[0] + ends + first + ends +
			"400;chunk-signature=" + signatures[1] + ends + second + ends + "0;chunk-signature=" + signatures[2] + ends
	}
	for _, c := range []struct{ name, kind, length, headers, seed, body string }{
		{"chunks", signedChunks, "66824",
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			blocks("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
				"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
				"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9") + ends},
		{"trailer", signedTrailer, "66824",
			"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			blocks("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
				"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
				"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992") +
				"x-amz-checksum-crc32c:sOO8/Q==\n" +
				"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", nil)
			for name, value := range map[string]string{
				"Content-Encoding": "aws-chunked", "X-Amz-Content-Sha256": c.kind, "X-Amz-Date": "20130524T000000Z",
				"X-Amz-Decoded-Content-Length": "66560", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
				"Authorization": begin + c.headers + ",Signature=" + c.seed,
			} {
				r.Header.Set(name, value)
			}
			if c.kind == signedTrailer {
				r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
			}
			r.ContentLength = 66824
			at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
			got, err := newVerifier(t, exampleKeys{}, "s3", at).Verify(r, []byte(c.body))
			if err != nil || len(got.Body) != 66560 {
				t.Errorf("%d bytes, %v", len(got.Body), err)
			}
		})
	}
}

// FuzzChunks: no body in chunks gets more in than it says, and none panics. Those
// that the fuzzer begins with are signed; it cannot sign others.
func FuzzChunks(f *testing.F) {
	kinds := []string{signedChunks, signedTrailer, unsignedTrailer}
	f.Add(0, []byte("15;chunk-signature="+strings.Repeat("0", 64)+"\r\n"+chunkedBody+"\r\n"))
	f.Add(1, []byte("0;chunk-signature=\r\n"+crc("")+"\nx-amz-trailer-signature:"))
	f.Add(2, []byte("15\r\n"+chunkedBody+"\r\n0\r\n"+crc(chunkedBody)+"\r\n\r\n"))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		if kind < 0 || kind >= len(kinds) {
			return
		}
		r, whole := chunkedRequest(t, kinds[kind])
		got, err := newVerifier(t, keys{}, "iot", now).Verify(r, body)
		switch {
		case err != nil && got.Body != nil:
			t.Errorf("refused, and yet %q", got.Body)
		case err == nil && len(got.Body) != len(chunkedBody):
			t.Errorf("%q has %q", body, got.Body)
		case err == nil && kinds[kind] != unsignedTrailer && string(got.Body) != chunkedBody:
			t.Errorf("%q was never signed, unlike %q", body, whole)
		}
	})
}
