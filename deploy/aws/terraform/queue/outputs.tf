output "url" {
  description = "For the controller."
  value       = aws_sqs_queue.this.url
}

output "arn" {
  description = "For rules that write to it."
  value       = aws_sqs_queue.this.arn
}
