# SPDX-License-Identifier: Apache-2.0
# Puts objects with the AWS SDK for Ruby, gets them again, and prints one JSON answer per line.
#
#   ruby objects.rb URL CREDENTIALS PUTS
#
# PUTS is a JSON list of put_object's parameters. With "parts" the object is uploaded in that many parts. Each
# object is got with the credentials "reader", since a job may not read what it writes.
require "aws-sdk-s3"
require "json"

url, credentials, puts_ = ARGV.first(3)
writer, reader = JSON.parse(credentials).values_at("writer", "reader").map do |keys|
  Aws::S3::Client.new(
    endpoint: url,
    region: "us-east-1",
    credentials: Aws::Credentials.new(*keys),
    force_path_style: true,
    retry_limit: 0,
  )
end

def in_parts(client, put, count)
  place = put.slice(:bucket, :key)
  upload = place.merge(upload_id: client.create_multipart_upload(put.reject { |name, _| name == :body }).upload_id)
  size = (put[:body].bytesize / count.to_f).ceil
  parts = (1..count).map do |number|
    slice = put[:body].byteslice((number - 1) * size, size)
    said = client.upload_part(upload.merge(put.slice(:checksum_algorithm), part_number: number, body: slice))
    { part_number: number, etag: said.etag, **checksums(said) }
  end
  client.complete_multipart_upload(upload.merge(multipart_upload: { parts: parts }))
end

def checksums(said)
  said.to_h.select { |name, _| name.start_with?("checksum_") }
end

JSON.parse(puts_, symbolize_names: true).each do |put|
  put[:metadata] &&= put[:metadata].transform_keys(&:to_s)
  place = put.slice(:bucket, :key)
  answer =
    begin
      if (count = put.delete(:parts))
        in_parts(writer, put, count)
      else
        writer.put_object(put)
      end
      got = reader.get_object(place.merge(checksum_mode: "ENABLED"))
      listed = reader.list_objects_v2(bucket: place[:bucket]).contents.map(&:key)
      { body: got.body.read, metadata: got.metadata, listed: listed.include?(place[:key]), checksums: checksums(got) }
    rescue Aws::Errors::ServiceError => e
      { error: e.class.name }
    end
  puts JSON.generate(answer)
end
