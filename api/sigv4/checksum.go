package sigv4

import (
	"crypto/sha1" //nolint:gosec // one of AWS's checksums: against accidents, not attacks
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
)

// crc64NVME is the polynomial of NVMe, reversed as package crc64 has it.
const crc64NVME = 0x9a6c9329ac4bc9b5

// checksum returns how the trailer of this name is computed of a body, nil for a
// name that is none of AWS's:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
func checksum(name string) func(body []byte) string {
	encode := base64.StdEncoding.EncodeToString
	switch name {
	case "x-amz-checksum-crc32":
		return func(b []byte) string { return encode(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))) }
	case "x-amz-checksum-crc32c":
		return func(b []byte) string {
			return encode(binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
		}
	case "x-amz-checksum-crc64nvme":
		return func(b []byte) string {
			return encode(binary.BigEndian.AppendUint64(nil, crc64.Checksum(b, crc64.MakeTable(crc64NVME))))
		}
	case "x-amz-checksum-sha1":
		return func(b []byte) string { s := sha1.Sum(b); return encode(s[:]) } //nolint:gosec // see the import
	case "x-amz-checksum-sha256":
		return func(b []byte) string { s := sha256.Sum256(b); return encode(s[:]) }
	}
	return nil
}
