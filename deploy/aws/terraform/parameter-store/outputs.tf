output "queue_url" {
  description = "For the controller; empty where the queue is another module's."
  value       = var.queue_arn == "" ? module.queue[0].url : ""
}

output "queue_arn" {
  description = "For modules that share the queue."
  value       = var.queue_arn == "" ? module.queue[0].arn : var.queue_arn
}

output "rule_arn" {
  description = "The rule."
  value       = aws_cloudwatch_event_rule.this.arn
}
